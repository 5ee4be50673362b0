/* api/move.h - C-MOVE of the answers of a query. */
#ifndef API_MOVE_H
#define API_MOVE_H

#include <lua.h>

#include "binding/options.h"
#include "engine/loop.h"

extern const option move_rows[]; /* of move, beside the keys of its route */

int move_move(lua_State *L); /* modality:move(query [, options]) */

/* query:move(options, number) for the query `id`. The stack: Query, options, number, client. `return
 * move_query(…);` */
int move_query(lua_State *L, loop *lp, const char *id);

#endif
