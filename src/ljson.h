/* ljson.h - JSON for Lua: lua-cjson parses, behind a facade that keeps its faults away; the encoder is ours. */
#ifndef LJSON_H
#define LJSON_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#include "mem.h"

#define LJSON_TEXT_MAX ((size_t)64 << 20)
#define LJSON_DEPTH_MAX 200

/* Decodes a text. True: the value is pushed. False: a message is pushed that says what is wrong at which line and column.
 * Throws an error object of kind "limit" when the heap it would cost exceeds what `m` has left. [-0, +1, v] */
bool ljson_decode(lua_State *L, mem *m, const char *text, size_t size);

/* Encodes the value at index. True: the text is pushed. False (bad data: not UTF-8, NaN, infinity): a message is pushed that names the place,
 * such as `.Query.0010,0010`. Throws on what no program should pass: functions, mixed keys, cycles, more than LJSON_DEPTH_MAX levels.
 * indent NULL = compact. Keys are sorted. [-0, +1, v] */
bool ljson_encode(lua_State *L, int index, const char *indent);

/* Gives the table on the top the metatable of json.array / json.object, so that it encodes as [] or {} even when empty. [-0, +0, m] */
void ljson_mark_array(lua_State *L);
void ljson_mark_object(lua_State *L);

/* Pushes json.null. [-0, +1, -] */
void ljson_push_null(lua_State *L);

/* Pushes the module table; upvalue 1 of its functions is the loop (see ldoc.h). */
struct loop;
void ljson_open(lua_State *L, struct loop *lp);

#endif
