#include "orthanc_plugin/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/shown.h"
#include "base/utf8.h"

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

void text_add_line(text *t, const char *line)
{
    const char *at = line, *end = line + strlen(line);
    char escape[SHOWN_ESCAPE];
    size_t size;
    while (at < end) {
        bool is_tab = *at == '\t';
        const char *piece = shown_next(&at, end, SHOWN_LINE, escape, &size);
        text_add(t, is_tab ? "\t" : piece, is_tab ? 1 : size);
    }
}

static void add_character(text *t, const char *data, size_t size, size_t *i)
{
    size_t bytes = utf8_size(data + *i, data + size);
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
