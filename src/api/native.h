/* api/native.h - the C functions that the Lua half can call and scripts cannot. */
#ifndef API_NATIVE_H
#define API_NATIVE_H

#include <lua.h>

#include "engine/loop.h"

/* Gives the parts of the Lua half the tables "core.native" and, when one needs it,
 * "core.native_steps" or "transfer.native" (database/database.h). [-0, +0, m] */
void native_open(lua_State *L, loop *lp);

/* Pops the Lua function of the host's modalua_config.follow, for core.changes. [-1, +0, m] */
void native_set_follow(lua_State *L);

#endif
