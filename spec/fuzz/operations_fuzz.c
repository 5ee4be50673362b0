/* operations_fuzz.c - fuzzes the operations with answers from memory (memory_curl.h). The first line of the
 * input is the name of an operation in operations.lua, which also has what is asserted of its outcome; the
 * other lines are the answers. */
#include "fuzz.h"
#include "scripted.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    scripted_run("operate", data, size, 1, 0);
    return 0;
}
