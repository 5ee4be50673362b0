/* orthanc_plugin/text.h - a text that grows, and JSON in it. */
#ifndef ORTHANC_PLUGIN_TEXT_H
#define ORTHANC_PLUGIN_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Begins as { 0 }. When there is not enough memory, `failed` is set, and what is added is dropped. */
typedef struct text {
    char *data; /* with a NUL behind it; NULL = nothing has been added */
    size_t size, room;
    bool failed;
} text;

void text_add(text *t, const char *data, size_t size);
void text_format(text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Adds a line for people: what could harm the reader is escaped, as base/shown.h says; tabs stay. So a text of a script
 * cannot imitate other lines of a log, or command a terminal. */
void text_add_line(text *t, const char *line);

/* Adds a JSON string. A byte that is not UTF-8 becomes a question mark. */
void text_add_json(text *t, const char *data, size_t size);

/* Adds "name": and, when it is not the first member, a comma before it; and a string or null as the value. */
void text_member(text *t, const char *name);
void text_member_string(text *t, const char *name, const char *value);

/* Adds "name": and an object of these strings. */
void text_member_pairs(text *t, const char *name, unsigned count, const char *const *keys,
                       const char *const *values);

void text_free(text *t);

#endif
