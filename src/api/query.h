/* api/query.h - Query: a query that the server keeps, as scripts see it. */
#ifndef API_QUERY_H
#define API_QUERY_H

#include <lua.h>

#include "engine/loop.h"

/* Pushes a Query of the client at index `client`. The value at index `id` names it (find_result.h).
 * Sends nothing. Throws on a wrong value. [-0, +1, v] */
int query_push(lua_State *L, int client, int id);

/* Registers Query in the state. [-0, +0, m] */
void query_open(lua_State *L, loop *lp);

int query_l_client(lua_State *L); /* for the Lua half: (query) -> client */

#endif
