/* api/modality_methods.h - the methods of a modality: one row for each operation. */
#ifndef API_MODALITY_METHODS_H
#define API_MODALITY_METHODS_H

#include <lua.h>

#include "engine/loop.h"

/* Registers Modality in the state, and sets Modality and RemoteModality in the module table on the top.
 * [-0, +0, m] */
void modality_methods_open(lua_State *L, loop *lp);

#endif
