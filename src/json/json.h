/* json/json.h - JSON for Lua: lua-cjson parses, behind a facade that keeps its faults away; the encoder
 * (json/encode.h) is ours. */
#ifndef JSON_JSON_H
#define JSON_JSON_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/memory.h"

/* Decodes a text. True: the value is pushed. False: a message is pushed that says what is wrong at
 * which line and column. Throws an error object of kind "limit" when the heap it would cost exceeds
 * what `m` has left. [-0, +1, v] */
bool json_decode(lua_State *L, memory *m, const char *text, size_t size);

/* Pushes the module table of modalua.json. [-0, +1, m] */
void json_open(lua_State *L, memory *m);

#endif
