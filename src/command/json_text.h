/* command/json_text.h - the JSON of the command: one writer, for the arguments of modalua_call and
 * for Orthanc's configuration; and a reader of strings, for the results of modalua_call. */
#ifndef COMMAND_JSON_TEXT_H
#define COMMAND_JSON_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "command/buffer.h"

/* A JSON text under construction; {0} is an empty one. The functions below append to it, and write
 * the commas. When memory runs out the writer notes that, and json_text_take returns NULL. */
typedef struct json_writer {
    buffer text;
    bool needs_comma; /* before the next key or value */
    bool failed;      /* out of memory */
} json_writer;

/* Opens or closes an array or an object; `bracket` is one of [ ] { }. */
void json_text_open(json_writer *w, char bracket);
void json_text_close(json_writer *w, char bracket);

/* The key of an object's next member, whose value is to follow. */
void json_text_key(json_writer *w, const char *key);

/* Values. Strings must be UTF-8. */
void json_text_string(json_writer *w, const char *text);
void json_text_bytes(json_writer *w, const char *text, size_t size);
void json_text_number(json_writer *w, long number);
void json_text_boolean(json_writer *w, bool value);

/* Members of an object: a key and its value. */
void json_text_add_string(json_writer *w, const char *key, const char *text);
void json_text_add_number(json_writer *w, const char *key, long number);
void json_text_add_boolean(json_writer *w, const char *key, bool value);

/* The text, which the caller frees; NULL: out of memory. The writer is empty afterwards. */
char *json_text_take(json_writer *w);

/* Copies the next string in a JSON text that the library has written; *at moves behind it. Keys are
 * strings too. The caller frees the copy. NULL: there is no further string, or no memory. */
char *json_text_next_string(const char **at);

#endif
