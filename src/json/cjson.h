/* json/cjson.h - lua-cjson's decoder, bound to functions of ours.
 *
 * Debian's archive of lua-cjson calls malloc, prints to stderr, ends the process when malloc fails, and
 * reads numbers as the locale says. src/packaging/cjson.cmake renames these functions inside a copy of
 * the archive, and cjson.c has what they are renamed to: the memory is of the runtime's account, a
 * failure is an error of Lua, and numbers have a decimal point.
 */
#ifndef JSON_CJSON_H
#define JSON_CJSON_H

#include <lua.h>

#include "base/memory.h"

/* Pushes lua-cjson's decode function, of an instance that scripts cannot change the settings of. Throws
 * when there is not enough memory. [-0, +1, v] */
void json_cjson_push(lua_State *L, memory *m);

/* Calls the decode function below the top with the text on the top. Returns a status of lua_pcall, and has
 * replaced both by the value or by an error value; with LUA_ERRMEM, memory has ended. Whatever the status
 * is, the function keeps no memory. [-2, +1, -] */
int json_cjson_decode(lua_State *L, memory *m);

#endif
