/* database/postgres_connector.h - makes a connection of libpq in a thread of its own. libpq looks the name of a
 * server up by getaddrinfo, which blocks, and reads files that can be on a slow disk. The loop waits for a
 * descriptor instead. Knows no Lua. */
#ifndef DATABASE_POSTGRES_CONNECTOR_H
#define DATABASE_POSTGRES_CONNECTOR_H

#include <stdbool.h>

#include "database/postgres_functions.h"

typedef struct postgres_connector postgres_connector;

/* Starts the thread. `like`: NULL, or a connection to an address of several servers: the new one is to the same
 * server, and its name is not looked up again. NULL: errno says why there is no thread. */
postgres_connector *postgres_connector_start(const postgres_functions *api, const char *address,
                                             PGconn *like);

/* Becomes readable, and stays so, when the thread has done its work. */
int postgres_connector_fd(const postgres_connector *c);
bool postgres_connector_has_ended(const postgres_connector *c);

/* Whether it is looking a name up: nothing else of what libpq does takes long. */
bool postgres_connector_looks_up(const postgres_connector *c);

/* After the end: returns the connection, made or failed, and frees the connector. NULL: not enough memory. What
 * the server says beside the results of statements goes to `on_notice`. */
PGconn *postgres_connector_take(postgres_connector **c, PQnoticeReceiver on_notice, void *user);

/* Gives the connection up, unless *c is NULL, and sets it to NULL. A thread that looks a name up goes on until
 * that ends, or until the process ends, and uses nothing but its own memory. */
void postgres_connector_give_up(postgres_connector **c);

#endif
