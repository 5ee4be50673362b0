/* api/commitment.h - the userdata of a storage commitment. Its methods are written in Lua:
 * lua/modalua/core/commitment.lua. */
#ifndef API_COMMITMENT_H
#define API_COMMITMENT_H

#include <lua.h>

#include "engine/loop.h"

/* For the Lua half: (client, uid) -> commitment. */
int commitment_new(lua_State *L);

/* Registers the type in the state. [-0, +0, m] */
void commitment_open(lua_State *L, loop *lp);

#endif
