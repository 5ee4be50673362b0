#include "command/json_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool buffer_add(buffer *t, const char *bytes, size_t size)
{
    if (t->size + size + 1 > t->room) {
        size_t room = (t->size + size + 1) * 2;
        char *grown = realloc(t->data, room);
        if (!grown)
            return false;
        t->data = grown;
        t->room = room;
    }
    if (size > 0)
        memcpy(t->data + t->size, bytes, size);
    t->size += size;
    t->data[t->size] = '\0';
    return true;
}

bool buffer_add_escaped(buffer *t, const char *bytes, size_t size)
{
    bool ok = true;
    for (size_t i = 0; ok && i < size; i++) {
        char escape[8];
        unsigned char c = (unsigned char)bytes[i];
        int n = c == '"' || c == '\\' ? snprintf(escape, sizeof escape, "\\%c", c)
                : c < ' '             ? snprintf(escape, sizeof escape, "\\u%04x", c)
                                      : snprintf(escape, sizeof escape, "%c", c);
        ok = buffer_add(t, escape, (size_t)n);
    }
    return ok;
}

/* The byte that an escape stands for, and where it ends. The encoder writes \u for control
 * characters alone. */
static char unescape(const char **at)
{
    static const char letters[] = "bfnrt", bytes[] = "\b\f\n\r\t";
    char digits[5] = "";
    const char *letter, *p = *at;
    if (*p == 'u') {
        snprintf(digits, sizeof digits, "%.4s", p + 1);
        *at = p + 1 + strlen(digits);
        return (char)strtol(digits, NULL, 16);
    }
    *at = p + (*p != '\0');
    letter = *p ? strchr(letters, *p) : NULL;
    return letter ? bytes[letter - letters] : *p;
}

char *json_next_string(const char **at)
{
    const char *p = strchr(*at, '"');
    char *copy, *to;
    if (!p)
        return NULL;
    copy = to = malloc(strlen(p) + 1);
    if (!copy)
        return NULL;
    for (p++; *p && *p != '"';) {
        char c = *p++;
        *to++ = c == '\\' ? unescape(&p) : c;
    }
    *to = '\0';
    *at = p + (*p == '"');
    return copy;
}

/* How many bytes a letter has that begins with this one; 0: none does. */
static size_t letter_size(unsigned char c)
{
    return c < 0x80                ? 1
           : c >= 0xC2 && c < 0xE0 ? 2
           : c >= 0xE0 && c < 0xF0 ? 3
           : c >= 0xF0 && c < 0xF5 ? 4
                                   : 0;
}

/* RFC 3629: no surrogates, nothing beyond U+10FFFF, nothing longer than it need be. */
bool text_is_utf8(const char *bytes, size_t size)
{
    const unsigned char *p = (const unsigned char *)bytes;
    for (size_t i = 0; i < size;) {
        size_t n = letter_size(p[i]);
        if (n == 0 || n > size - i)
            return false;
        for (size_t k = 1; k < n; k++)
            if ((p[i + k] & 0xC0) != 0x80)
                return false;
        if ((p[i] == 0xE0 && p[i + 1] < 0xA0) || (p[i] == 0xED && p[i + 1] >= 0xA0) ||
            (p[i] == 0xF0 && p[i + 1] < 0x90) || (p[i] == 0xF4 && p[i + 1] >= 0x90))
            return false;
        i += n;
    }
    return true;
}
