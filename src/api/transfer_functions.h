/* api/transfer_functions.h - the module modalua.transfer: the descriptor rows of its functions, which are
 * written in Lua (the part transfer.transfer). */
#ifndef API_TRANSFER_FUNCTIONS_H
#define API_TRANSFER_FUNCTIONS_H

#include <lua.h>

#include "engine/loop.h"

/* Pushes the module table. [-0, +1, m] */
void transfer_functions_open(lua_State *L, loop *lp);

#endif
