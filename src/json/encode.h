/* json/encode.h - the JSON encoder: tables to text, inside the Lua allocator. */
#ifndef JSON_ENCODE_H
#define JSON_ENCODE_H

#include <lua.h>
#include <stdbool.h>

/* Encodes the value at index. True: the text is pushed. False (bad data: not UTF-8, NaN, infinity):
 * a message is pushed that names the place, such as `.Query.0010,0010`. Throws on what no program
 * should pass: functions, mixed keys, cycles, more than JSCAN_DEPTH_MAX levels. indent NULL =
 * compact. Keys are sorted. [-0, +1, v] */
bool json_encode(lua_State *L, int index, const char *indent);

#endif
