#include "database/postgres_conn.h"

#include <poll.h>
#include <stddef.h>

PGconn *postgres_conn_start(const postgres_functions *api, const char *address,
                            PQnoticeReceiver on_notice, void *user)
{
    static const char *const keywords[] = { "dbname", "client_encoding",
                                            "fallback_application_name", "tcp_user_timeout", NULL };
    const char *const values[] = { address, "UTF8", "modalua", "15000", NULL };
    PGconn *conn = api->connectStartParams(keywords, values, 1);
    if (conn) {
        api->setNoticeReceiver(conn, on_notice, user);
        api->setErrorVerbosity(conn, PQERRORS_VERBOSE); /* with the SQLSTATE */
    }
    return conn;
}

short postgres_conn_poll(const postgres_functions *api, PGconn *conn)
{
    switch (api->connectPoll(conn)) {
    case PGRES_POLLING_OK: api->setnonblocking(conn, 1); return 0;
    case PGRES_POLLING_READING: return POLLIN;
    case PGRES_POLLING_WRITING: return POLLOUT;
    default: return -1;
    }
}

void postgres_conn_finish(const postgres_functions *api, PGconn **conn)
{
    if (*conn)
        api->finish(*conn);
    *conn = NULL;
}
