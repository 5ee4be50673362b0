/* json/encode.h - the JSON encoder: Lua values to text. It takes memory from Lua's allocator only.
 */
#ifndef JSON_ENCODE_H
#define JSON_ENCODE_H

#include <lua.h>
#include <stdbool.h>

/* Encodes the value at index, with sorted keys. `indent`: the text of one level; NULL = compact.
 * True: the text is pushed. False, for strings that are not UTF-8, NaN and infinity: a message is
 * pushed that names the place, such as `.Query.0010,0010`. Throws on functions, mixed keys, holes,
 * cycles and more than JSON_DEPTH_MAX levels, and when the run has to stop (binding/interrupt.h).
 * [-0, +1, v] */
bool json_encode(lua_State *L, int index, const char *indent);

/* The same, compact, for a text that nothing needs to be long: throws when it becomes longer than 1 MB.
 * [-0, +1, v] */
enum { JSON_SHORT_MAX = 1 << 20 };
bool json_encode_short(lua_State *L, int index);

#endif
