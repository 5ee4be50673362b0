/* json/decode.h - the JSON decoder: text to Lua values.
 *
 * lua-cjson builds the value. By itself it would round integers, take [] for {}, end the process
 * when memory is short, and depend on the locale. So the text is checked first (scan.h), what
 * lua-cjson cannot express is replaced (placeholder.h), memory is reserved, and the value is
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

#endif
