/* zip_fuzz.c - fuzzes the search for the end of a ZIP file, and compares it with a second way to find it:
 * the record begins with its signature, and the length of the comment leads to the end of the file. */
#include "base/zip.h"
#include "fuzz.h"

static bool has_end(const uint8_t *data, size_t size)
{
    for (size_t at = size > ZIP_TAIL ? size - ZIP_TAIL : 0; at + ZIP_END <= size; at++)
        if (data[at] == 'P' && data[at + 1] == 'K' && data[at + 2] == 5 && data[at + 3] == 6 &&
            at + ZIP_END + data[at + 20] + 256u * data[at + 21] == size)
            return true;
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    REQUIRE(zip_has_end((const char *)data, size) == has_end(data, size));
    return 0;
}
