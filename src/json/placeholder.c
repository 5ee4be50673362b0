#include "json/placeholder.h"

#include <string.h>

#include "json/number.h"

/* The text has passed json_scan: strings end, escapes are complete. */

static const char *string_end(const char *open, const char *end)
{
    const char *at = json_scan_plain_end(open + 1, end);
    while (*at != '"')
        at = json_scan_plain_end(at + (*at == '\\' ? 2 : 1), end);
    return at + 1;
}

/* Behind the bracket that closes the array at `open`, if the array is empty; else NULL. */
static const char *empty_array_end(const char *open)
{
    const char *at = open + 1;
    while (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r')
        at++;
    return *at == ']' ? at + 1 : NULL;
}

static const char *number_end(const char *at, const char *end)
{
    while (at < end && ((*at >= '0' && *at <= '9') || *at == '-' || *at == '+' || *at == '.' ||
                        *at == 'e' || *at == 'E'))
        at++;
    return at;
}

static char *put(char *out, const char *text, size_t size)
{
    memcpy(out, text, size);
    return out + size;
}

static char *put_placeholder(char *out, const char *token, const char *digits, size_t count)
{
    *out++ = '"';
    out = put(out, token, JSON_TOKEN_SIZE);
    out = put(out, digits, count);
    *out++ = '"';
    return out;
}

size_t json_placeholder_room(const json_scan_facts *facts, size_t size)
{
    return size + (facts->empty_arrays + facts->wide_integers) * (JSON_TOKEN_SIZE + 2);
}

size_t json_placeholder_copy(const char *text, size_t size, const char *token, char *out)
{
    const char *at = text, *end = at + size, *next;
    char *from = out;
    for (; at < end; at = next) {
        if (*at == '"') {
            next = string_end(at, end);
            out = put(out, at, (size_t)(next - at));
        } else if (*at == '[' && (next = empty_array_end(at)) != NULL) {
            *out++ = '[';
            out = put_placeholder(out, token, at, 0);
            *out++ = ']';
        } else if (*at == '-' || (*at >= '0' && *at <= '9')) {
            next = number_end(at, end);
            if (json_integer_is_wide(at, next))
                out = put_placeholder(out, token, at, (size_t)(next - at));
            else
                out = put(out, at, (size_t)(next - at));
        } else {
            next = at + 1;
            *out++ = *at;
        }
    }
    return (size_t)(out - from);
}
