#include "orthanc/body_keys.h"

#include <stdint.h>
#include <string.h>

#include "base/ascii.h"
#include "orthanc/tags.h"

/* Whether Orthanc itself answers the path, and reads tags there. A path with '%' may be any. */
static bool reads_tags(const char *path)
{
    static const char *const roots[] = { "modalities", "tools",     "patients", "studies",
                                         "series",     "instances", "queries",  NULL };
    size_t n = strcspn(path + 1, "/?");
    if (n == 0 || path[1] == '.') /* the server removes such segments */
        return true;
    if (memchr(path + 1, '%', n))
        return true;
    for (size_t i = 0; roots[i]; i++)
        if (strlen(roots[i]) == n && strncmp(path + 1, roots[i], n) == 0)
            return true;
    return false;
}

/* ---- JSON, with the comments that Orthanc's parser allows ---- */

static const char *behind_comment(const char *at, const char *end)
{
    bool line = at[1] == '/';
    for (at += 2; at < end; at++)
        if (line ? *at == '\n' : *at == '*' && end - at > 1 && at[1] == '/')
            return at + (line ? 1 : 2);
    return end;
}

static bool is_comment(const char *at, const char *end)
{
    return end - at > 1 && at[0] == '/' && (at[1] == '/' || at[1] == '*');
}

static const char *behind_space(const char *at, const char *end)
{
    while (at < end && (strchr(" \t\r\n", *at) || is_comment(at, end)))
        at = *at == '/' ? behind_comment(at, end) : at + 1;
    return at;
}

/* Reads the character of \uXXXX; one that is not ASCII becomes '?'. */
static char read_escape(const char *at, const char *end)
{
    uint32_t code = 0;
    for (int i = 0; i < 4; i++) {
        int digit = at + i < end ? ascii_hex_value(at[i]) : -1;
        if (digit < 0)
            return '?';
        code = code << 4 | (uint32_t)digit;
    }
    return code > 0 && code < 0x80 ? (char)code : '?';
}

/* Reads the string whose first character, behind the '"', is at `at`. Returns the place behind its end.
 * text: its beginning. */
static const char *read_string(const char *at, const char *end, char text[BODY_KEY])
{
    size_t n = 0;
    while (at < end && *at != '"') {
        char c = *at++;
        if (c == '\\' && at < end) {
            c = *at++;
            if (c == 'u') {
                c = read_escape(at, end);
                at += end - at < 4 ? end - at : 4;
            }
        }
        if (n < BODY_KEY - 1)
            text[n++] = c;
    }
    text[n] = '\0';
    return at < end ? at + 1 : end;
}

/* ---- the keys ---- */

static bool is_mark(const char *key)
{
    static const char *const names[] = { "Item", "ItemDelimitationItem", "SequenceDelimitationItem",
                                         NULL };
    uint32_t tag;
    for (size_t i = 0; names[i]; i++)
        if (strcmp(key, names[i]) == 0)
            return true;
    return orthanc_tag_parse(key, &tag) && tag >> 16 == 0xfffe;
}

bool body_keys_find(const char *path, const char *body, size_t size, char key[BODY_KEY])
{
    const char *at = body, *end = body + size;
    if (!reads_tags(path))
        return false;
    while (at < end) {
        if (is_comment(at, end)) {
            at = behind_comment(at, end);
        } else if (*at++ == '"') {
            at = behind_space(read_string(at, end, key), end);
            if (at < end && *at == ':' && is_mark(key))
                return true;
        }
    }
    return false;
}
