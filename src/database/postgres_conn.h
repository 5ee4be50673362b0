/* database/postgres_conn.h - starts a connection of libpq, and moves it on until it is made. Knows no Lua. */
#ifndef DATABASE_POSTGRES_CONN_H
#define DATABASE_POSTGRES_CONN_H

#include "database/postgres_functions.h"

/* Starts a connection. NULL: not enough memory. What the server says beside the results of statements goes to
 * `on_notice`. The connection waits for POLLOUT first, unless its status is CONNECTION_BAD. */
PGconn *postgres_conn_start(const postgres_functions *api, const char *address,
                            PQnoticeReceiver on_notice, void *user);

/* Moves it on. Returns the events of poll(2) that it waits for, 0 when it is made, -1 when it has failed. */
short postgres_conn_poll(const postgres_functions *api, PGconn *conn);

/* Ends the connection, unless it is NULL, and sets it to NULL. */
void postgres_conn_finish(const postgres_functions *api, PGconn **conn);

#endif
