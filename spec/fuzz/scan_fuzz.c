/* scan_fuzz.c - fuzzes the JSON scanner with any bytes. If the bytes are valid JSON, it also makes the
 * copy with placeholders and checks it. */
#include "fuzz.h"
#include "json/placeholder.h"

/* Checks that the copy with placeholders is no larger than announced and is valid JSON. In the copy,
 * strings replace the empty arrays and the integers beyond 2^53. */
static void check_placeholders(const char *text, size_t size, const json_scan_facts *facts)
{
    static const char token[] = "0123456789abcdef0123456789abcdef";
    char message[JSON_MESSAGE_SIZE], *copy = malloc(json_placeholder_room(facts, size) + 1);
    json_scan_facts after;
    size_t copied;

    REQUIRE(copy != NULL);
    copied = json_placeholder_copy(text, size, token, copy);
    REQUIRE(copied <= json_placeholder_room(facts, size));
    REQUIRE(json_scan(copy, copied, &after, NULL, message));
    REQUIRE(after.empty_arrays == 0 && after.wide_integers == 0);
    REQUIRE(after.arrays == facts->arrays &&
            after.numbers == facts->numbers - facts->wide_integers);
    REQUIRE(after.depth == facts->depth && after.heap >= facts->heap);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char message[JSON_MESSAGE_SIZE];
    json_scan_facts facts;
    message[0] = '\0';
    if (json_scan((const char *)data, size, &facts, NULL, message))
        check_placeholders((const char *)data, size, &facts);
    else
        REQUIRE(message[0] != '\0' && memchr(message, '\0', sizeof message) != NULL);
    return 0;
}
