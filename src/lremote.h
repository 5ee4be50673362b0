/* lremote.h - what can be done with a remote modality: a row an operation. */
#ifndef LREMOTE_H
#define LREMOTE_H

#include <lua.h>

#include "loop.h"

/* Makes Modality known to the state, and sets Modality and RemoteModality in the module table on
 * the top. [-0, +0, m] */
void lremote_open(lua_State *L, loop *lp);

/* Runs the Lua half, the function on the top, with what it needs of ours. [-1, +0, v] */
void lremote_complete(lua_State *L, loop *lp);

#endif
