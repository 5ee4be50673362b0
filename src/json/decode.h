/* json/decode.h - the JSON decoder: text to Lua values.
 *
 * lua-cjson builds the value (cjson.h). By itself it would round integers, and take [] for {}. So the text
 * is checked first (scan.h), what lua-cjson cannot express is replaced (placeholder.h), and the value is
 * corrected afterwards.
 */
#ifndef JSON_DECODE_H
#define JSON_DECODE_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/memory.h"

/* Decodes a text. True: the value is pushed. False: a message is pushed that says what is wrong,
 * with the line and the column. Throws an error object of kind "limit" when the value can take more
 * memory than `m` has left. [-0, +1, v] */
bool json_decode(lua_State *L, memory *m, const char *text, size_t size);

/* Decodes the string at index. [-0, +1, v] */
bool json_decode_at(lua_State *L, memory *m, int index);

/* A text in memory of an account, as the body of an answer is. It has a NUL behind its end. */
typedef struct json_body {
    char **text;
    size_t *size, *room;
} json_body;

typedef enum json_outcome { JSON_DECODED, JSON_FAULTY, JSON_NO_ROOM } json_outcome;

/* Decodes a text whose memory belongs to the account `m`. A long list is decoded in parts, and the text
 * is shortened meanwhile: the list and its text are never in memory as a whole at the same time.
 * JSON_DECODED: the value is pushed. JSON_FAULTY: a message, as of json_decode. JSON_NO_ROOM: a message
 * that says how much memory is missing. [-0, +1, v] */
json_outcome json_decode_body(lua_State *L, memory *m, const json_body *body);

#endif
