/* api/move.h - C-MOVE of what a query found. */
#ifndef API_MOVE_H
#define API_MOVE_H

#include <lua.h>

#include "binding/options.h"
#include "engine/loop.h"

extern const option move_rows[]; /* of move, beside the keys of its route */

int move_move(lua_State *L); /* modality:move(query [, options]) */

/* query:move(options, number) of the query of that identifier: options at 2, number at 3, the
 * client at 4. `return move_query(…);` */
int move_query(lua_State *L, loop *lp, const char *id);

#endif
