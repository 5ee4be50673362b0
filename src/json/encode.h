/* json/encode.h - the JSON encoder: Lua values to text. It takes memory from Lua's allocator only.
 */
#ifndef JSON_ENCODE_H
#define JSON_ENCODE_H

#include <lua.h>
#include <stdbool.h>

/* Encodes the value at index, with sorted keys. `indent`: the text of one level; NULL = compact.
 * True: the text is pushed. False, for strings that are not UTF-8, NaN and infinity: a message is
 * pushed that names the place, such as `.Query.0010,0010`. Throws on functions, mixed keys, holes,
 * cycles and more than JSON_DEPTH_MAX levels. [-0, +1, v] */
bool json_encode(lua_State *L, int index, const char *indent);

#endif
