/* database/postgres_cancel.h - cancels a statement on the server, over a second connection, while nothing waits
 * for that. libpq's PQcancel blocks, and without end when the server has stopped. */
#ifndef DATABASE_POSTGRES_CANCEL_H
#define DATABASE_POSTGRES_CANCEL_H

#include <lua.h>

#include "database/postgres_functions.h"
#include "engine/loop.h"

/* Starts a cleanup (engine/cleanup.h) that cancels what the server executes for the connection, which is to that
 * address. It gives up after CANCEL_SECONDS. [-0, +0, m] */
void postgres_cancel(lua_State *L, loop *lp, const postgres_functions *api, const char *address,
                     PGconn *conn);

enum { CANCEL_SECONDS = 5 };

#endif
