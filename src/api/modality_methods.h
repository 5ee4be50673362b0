/* api/modality_methods.h - what can be done with a remote modality: a row an operation. */
#ifndef API_MODALITY_METHODS_H
#define API_MODALITY_METHODS_H

#include <lua.h>

#include "engine/loop.h"

/* Makes Modality known to the state, and sets Modality and RemoteModality in the module table on
 * the top. [-0, +0, m] */
void modality_methods_open(lua_State *L, loop *lp);

/* Pushes the table of what the Lua half needs of ours, for its chunks to take and to fill. [-0, +1,
 * m] */
void modality_methods_push_ours(lua_State *L, loop *lp);

/* Takes from it, on the top, what we need of theirs, and pops it. [-1, +0, m] */
void modality_methods_take_theirs(lua_State *L);

#endif
