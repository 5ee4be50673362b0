/* json_fuzz.c - a libFuzzer target: runs the JSON scanner on any bytes. If the bytes are valid JSON,
 * it also makes the marked copy and checks it. spec/fuzz/run.sh builds and runs it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "json/scan.h"

static void require(bool fact)
{
    if (!fact)
        abort();
}

/* Checks that the marked copy is no larger than announced and is valid JSON. In the copy, strings
 * replace the empty arrays and the integers beyond 2^53. */
static void check_marks(const char *text, size_t size, const json_scan_facts *facts)
{
    static const char token[] = "0123456789abcdef0123456789abcdef";
    char message[JSCAN_MESSAGE_SIZE], *copy = malloc(json_scan_marked_room(facts, size) + 1);
    json_scan_facts marked;
    size_t marked_size;

    require(copy != NULL);
    marked_size = json_scan_mark(text, size, token, copy);
    require(marked_size <= json_scan_marked_room(facts, size));
    require(json_scan(copy, marked_size, &marked, message));
    require(marked.empty_arrays == 0 && marked.wide_integers == 0);
    require(marked.arrays == facts->arrays &&
            marked.numbers == facts->numbers - facts->wide_integers);
    require(marked.depth == facts->depth && marked.heap >= facts->heap);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char message[JSCAN_MESSAGE_SIZE];
    json_scan_facts facts;
    message[0] = '\0';
    if (json_scan((const char *)data, size, &facts, message))
        check_marks((const char *)data, size, &facts);
    else
        require(message[0] != '\0' && memchr(message, '\0', sizeof message) != NULL);
    return 0;
}
