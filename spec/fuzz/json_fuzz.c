/* libFuzzer target: the JSON scanner on any bytes, and the copy with placeholders on any text that
 * passes. run.sh builds it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "json/placeholder.h"

static void require(bool fact)
{
    if (!fact)
        abort();
}

/* The copy fits its room, is JSON, and has strings where the placeholders are. */
static void check_placeholders(const char *text, size_t size, const json_scan_facts *facts)
{
    static const char token[] = "0123456789abcdef0123456789abcdef";
    char message[JSON_MESSAGE_SIZE], *copy = malloc(json_placeholder_room(facts, size) + 1);
    json_scan_facts after;
    size_t copied;

    require(copy != NULL);
    copied = json_placeholder_copy(text, size, token, copy);
    require(copied <= json_placeholder_room(facts, size));
    require(json_scan(copy, copied, &after, message));
    require(after.empty_arrays == 0 && after.wide_integers == 0);
    require(after.arrays == facts->arrays &&
            after.numbers == facts->numbers - facts->wide_integers);
    require(after.depth == facts->depth && after.heap >= facts->heap);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char message[JSON_MESSAGE_SIZE];
    json_scan_facts facts;
    message[0] = '\0';
    if (json_scan((const char *)data, size, &facts, message))
        check_placeholders((const char *)data, size, &facts);
    else
        require(message[0] != '\0' && memchr(message, '\0', sizeof message) != NULL);
    return 0;
}
