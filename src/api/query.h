/* api/query.h - a query that the server keeps, seen from Lua. */
#ifndef API_QUERY_H
#define API_QUERY_H

#include <lua.h>

#include "engine/loop.h"

/* Pushes a Query of the client at index, from what names it at `id` (api/find_result.h). No I/O. Throws when
 * it cannot be one. [-0, +1, v] */
int query_push(lua_State *L, int client, int id);

/* Makes Query known to the state. [-0, +0, m] */
void query_open(lua_State *L, loop *lp);

#endif
