/* json/json.h - the Lua module modalua.json. */
#ifndef JSON_JSON_H
#define JSON_JSON_H

#include <lua.h>

#include "base/memory.h"

/* Pushes the module table. Decoding charges the account `m`. [-0, +1, m] */
void json_open(lua_State *L, memory *m);

#endif
