#include "orthanc_plugin/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void text_add(text *t, const char *data, size_t size)
{
    if (t->failed || size == 0)
        return;
    if (t->size + size + 1 > t->room) {
        size_t room = 2 * (t->size + size) + 64;
        char *grown = realloc(t->data, room);
        if (!grown) {
            t->failed = true;
            return;
        }
        t->data = grown;
        t->room = room;
    }
    memcpy(t->data + t->size, data, size);
    t->size += size;
    t->data[t->size] = '\0';
}

void text_format(text *t, const char *format, ...)
{
    char small[512];
    va_list arguments, again;
    int size;
    va_start(arguments, format);
    va_copy(again, arguments);
    size = vsnprintf(small, sizeof small, format, arguments);
    if (size >= 0 && (size_t)size < sizeof small) {
        text_add(t, small, (size_t)size);
    } else if (size >= 0) {
        char *large = malloc((size_t)size + 1);
        if (large) {
            vsnprintf(large, (size_t)size + 1, format, again);
            text_add(t, large, (size_t)size);
        }
        t->failed = t->failed || !large;
        free(large);
    }
    va_end(again);
    va_end(arguments);
}

/* How many bytes the UTF-8 character at p has; 0: it is none. */
static size_t character(const unsigned char *p, size_t left)
{
    size_t size = *p < 0x80                 ? 1
                  : *p >= 0xC2 && *p < 0xE0 ? 2
                  : *p >= 0xE0 && *p < 0xF0 ? 3
                  : *p >= 0xF0 && *p < 0xF5 ? 4
                                            : 0;
    if (size > left || (size > 2 && ((*p == 0xE0 && p[1] < 0xA0) || (*p == 0xED && p[1] > 0x9F) ||
                                     (*p == 0xF0 && p[1] < 0x90) || (*p == 0xF4 && p[1] > 0x8F))))
        return 0;
    for (size_t i = 1; i < size; i++)
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    return size;
}

/* Whether a person can read the character of so many bytes at p in a line. */
static bool is_harmless(const unsigned char *p, size_t size)
{
    bool is_control = size == 1 ? (*p < 0x20 && *p != '\t') || *p == 0x7F
                                : size == 2 && *p == 0xC2 && p[1] < 0xA0;
    bool is_direction =
        size == 3 && *p == 0xE2 &&
        ((p[1] == 0x80 && (p[2] == 0x8E || p[2] == 0x8F || (p[2] >= 0xAA && p[2] <= 0xAE))) ||
         (p[1] == 0x81 && p[2] >= 0xA6 && p[2] <= 0xA9));
    return size > 0 && !is_control && !is_direction;
}

void text_add_line(text *t, const char *line)
{
    const unsigned char *p = (const unsigned char *)line;
    for (size_t left = strlen(line), size; left > 0; left -= size, p += size) {
        size = character(p, left);
        if (is_harmless(p, size)) {
            text_add(t, (const char *)p, size);
            continue;
        }
        size = size > 0 ? size : 1;
        for (size_t i = 0; i < size; i++)
            text_format(t, "\\x%02X", p[i]);
    }
}

static void add_character(text *t, const char *data, size_t size, size_t *i)
{
    size_t bytes = character((const unsigned char *)data + *i, size - *i);
    text_add(t, bytes > 0 ? data + *i : "?", bytes > 0 ? bytes : 1);
    *i += bytes > 0 ? bytes - 1 : 0;
}

void text_add_json(text *t, const char *data, size_t size)
{
    text_add(t, "\"", 1);
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)data[i];
        if (c == '"' || c == '\\')
            text_format(t, "\\%c", c);
        else if (c < 0x20)
            text_format(t, "\\u%04x", c);
        else
            add_character(t, data, size, &i);
    }
    text_add(t, "\"", 1);
}

void text_member(text *t, const char *name)
{
    if (t->size > 0 && !strchr("{[", t->data[t->size - 1]))
        text_add(t, ",", 1);
    text_format(t, "\"%s\":", name);
}

void text_member_string(text *t, const char *name, const char *value)
{
    text_member(t, name);
    if (value)
        text_add_json(t, value, strlen(value));
    else
        text_add(t, "null", 4);
}

void text_member_pairs(text *t, const char *name, unsigned count, const char *const *keys,
                       const char *const *values)
{
    text_member(t, name);
    text_add(t, "{", 1);
    for (unsigned i = 0; i < count; i++) {
        if (i > 0)
            text_add(t, ",", 1);
        text_add_json(t, keys[i], strlen(keys[i]));
        text_add(t, ":", 1);
        text_add_json(t, values[i], strlen(values[i]));
    }
    text_add(t, "}", 1);
}

void text_free(text *t)
{
    free(t->data);
    *t = (text){ 0 };
}
