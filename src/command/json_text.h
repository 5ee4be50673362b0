/* command/json_text.h - the little JSON that the command speaks with the Lua half through modalua_call:
 * strings in, strings out. */
#ifndef COMMAND_JSON_TEXT_H
#define COMMAND_JSON_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* A text under construction; {0} is an empty one. The caller frees `data`, which may be NULL. */
typedef struct buffer {
    char *data;
    size_t size, room;
} buffer;

/* Appends bytes, or bytes as they stand inside a JSON string. False: no memory; the text is as it
 * was, or a part of the bytes is in it. */
bool buffer_add(buffer *t, const char *bytes, size_t size);
bool buffer_add_escaped(buffer *t, const char *bytes, size_t size);

/* The next string in a JSON text of a number, strings and brackets, as bytes that the caller frees;
 * *at moves behind it. NULL: there is none, or no memory. */
char *json_next_string(const char **at);

/* Whether the bytes are UTF-8. */
bool text_is_utf8(const char *bytes, size_t size);

#endif
