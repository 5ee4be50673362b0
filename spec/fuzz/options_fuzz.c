/* options_fuzz.c - fuzzes the arguments that scripts give. The first line of the input is the name of a
 * method, the second one a JSON list of its arguments, the other lines are answers from memory
 * (memory_curl.h). Wrong arguments throw a text that says what is wrong, and nothing internal; what gets
 * through ends as an operation of operations.lua does. */
#include "fuzz.h"
#include "scripted.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    scripted_run("choose", data, size, 2, 1);
    return 0;
}
