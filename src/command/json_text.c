#include "command/json_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- writing ---- */

static void append(json_writer *w, const char *bytes, size_t size)
{
    if (!w->failed && !buffer_add(&w->text, bytes, size))
        w->failed = true;
}

static void add_comma(json_writer *w)
{
    if (w->needs_comma)
        append(w, ",", 1);
    w->needs_comma = false;
}

static void add_value(json_writer *w, const char *bytes, size_t size)
{
    add_comma(w);
    append(w, bytes, size);
    w->needs_comma = true;
}

void json_text_open(json_writer *w, char bracket)
{
    add_comma(w);
    append(w, &bracket, 1);
}

void json_text_close(json_writer *w, char bracket)
{
    append(w, &bracket, 1);
    w->needs_comma = true;
}

void json_text_bytes(json_writer *w, const char *text, size_t size)
{
    add_comma(w);
    append(w, "\"", 1);
    for (size_t i = 0; i < size; i++) {
        char escape[8];
        unsigned char c = (unsigned char)text[i];
        if (c < ' ')
            append(w, escape, (size_t)snprintf(escape, sizeof escape, "\\u%04x", c));
        else if (c == '"' || c == '\\')
            append(w, escape, (size_t)snprintf(escape, sizeof escape, "\\%c", c));
        else
            append(w, text + i, 1);
    }
    append(w, "\"", 1);
    w->needs_comma = true;
}

void json_text_string(json_writer *w, const char *text)
{
    json_text_bytes(w, text, strlen(text));
}

void json_text_key(json_writer *w, const char *key)
{
    json_text_string(w, key);
    append(w, ":", 1);
    w->needs_comma = false;
}

void json_text_number(json_writer *w, long number)
{
    char digits[32];
    add_value(w, digits, (size_t)snprintf(digits, sizeof digits, "%ld", number));
}

void json_text_boolean(json_writer *w, bool value)
{
    if (value)
        add_value(w, "true", 4);
    else
        add_value(w, "false", 5);
}

void json_text_add_string(json_writer *w, const char *key, const char *text)
{
    json_text_key(w, key);
    json_text_string(w, text);
}

void json_text_add_number(json_writer *w, const char *key, long number)
{
    json_text_key(w, key);
    json_text_number(w, number);
}

void json_text_add_boolean(json_writer *w, const char *key, bool value)
{
    json_text_key(w, key);
    json_text_boolean(w, value);
}

char *json_text_take(json_writer *w)
{
    char *text = w->text.data;
    if (w->failed) {
        free(text);
        text = NULL;
    }
    *w = (json_writer){ 0 };
    return text;
}

/* ---- reading ---- */

/* Returns the byte that an escape stands for. *at is behind its backslash, and moves behind the
 * escape. The library writes \u for control characters only. */
static char read_escape(const char **at)
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

char *json_text_next_string(const char **at)
{
    const char *p = strchr(*at, '"');
    char *copy;
    size_t n = 0;
    if (!p)
        return NULL;
    copy = malloc(strlen(p) + 1);
    if (!copy)
        return NULL;
    for (p++; *p && *p != '"';) {
        char c = *p++;
        copy[n++] = c == '\\' ? read_escape(&p) : c;
    }
    copy[n] = '\0';
    *at = p + (*p == '"');
    return copy;
}
