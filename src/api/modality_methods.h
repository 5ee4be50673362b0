/* api/modality_methods.h - what can be done with a remote modality: a row an operation. */
#ifndef API_MODALITY_METHODS_H
#define API_MODALITY_METHODS_H

#include <lua.h>

#include "engine/loop.h"

/* Makes Modality known to the state, and sets Modality and RemoteModality in the module table on
 * the top. [-0, +0, m] */
void modality_methods_open(lua_State *L, loop *lp);

#endif
