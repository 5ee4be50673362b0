#include "database/postgres_connect.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "base/clock.h"
#include "database/postgres_values.h"

enum { POSTGRES_LEAST_VERSION = 120000 };

static int connect_made(lua_State *L, postgres_call *c);

static int connect_fail(lua_State *L, postgres_call *c, const char *message)
{
    postgres *p = c->p;
    postgres_call_push_address(L);
    postgres_fail_connect(L, postgres_call_function(c), message, lua_gettop(L));
    postgres_call_disconnect(p);
    return 2;
}

static int connect_take(lua_State *L, postgres_call *c)
{
    postgres *p = c->p;
    p->conn = postgres_connector_take(&p->connector, postgres_call_on_notice, p);
    if (!p->conn)
        return connect_fail(L, c, "not enough memory");
    if (p->api.status(p->conn) != CONNECTION_OK)
        return connect_fail(L, c, p->api.errorMessage(p->conn));
    c->next = connect_made;
    return GO_ON;
}

static int connect_wait(lua_State *L, postgres_call *c)
{
    const postgres *p = c->p;
    if (postgres_connector_has_ended(p->connector)) {
        c->next = connect_take;
        return GO_ON;
    }
    if (clock_now() >= c->due)
        return connect_fail(L, c,
                            postgres_connector_looks_up(p->connector)
                                ? "the name of the server could not be looked up in time: the name "
                                  "server may be down"
                                : "the server does not answer");
    return postgres_call_wait(L, c, postgres_connector_fd(p->connector), POLLIN);
}

/* No statement is prepared on a new connection. */
int postgres_connect(lua_State *L, postgres_call *c)
{
    postgres *p = c->p;
    lua_newtable(L);
    lua_setiuservalue(L, DATABASE_DB, DATABASE_STATEMENTS);
    p->kept = 0;
    p->in_transaction = p->is_unfinished = p->is_ending = false;
    postgres_call_enter(c, CONNECTS);
    p->connector = postgres_connector_start(&p->api, postgres_call_push_address(L), NULL);
    lua_pop(L, 1);
    if (!p->connector)
        return connect_fail(L, c, strerror(errno));
    c->next = connect_wait;
    return GO_ON;
}

static int connect_set_search_path(lua_State *L, postgres_call *c);

/* A server of version 14 or later looks from time to time whether its client is still there, and else ends the
 * statement and its locks. On some systems it cannot: then the setting fails. */
static int connect_made(lua_State *L, postgres_call *c)
{
    postgres *p = c->p;
    int version = p->api.serverVersion(p->conn);
    if (version < POSTGRES_LEAST_VERSION)
        return connect_fail(L, c, "PostgreSQL 12 or later is needed");
    c->next = connect_set_search_path;
    if (version < 140000)
        return GO_ON;
    return postgres_call_sent(
        L, c, p->api.sendQuery(p->conn, "SET client_connection_check_interval = '1s'"),
        connect_set_search_path);
}

/* The last step of a connection: the schema of the ledger. */
static int connect_set_search_path(lua_State *L, postgres_call *c)
{
    const postgres *p = c->p;
    int is_sent;
    lua_getiuservalue(L, DATABASE_DB, DATABASE_SEARCH_PATH);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        c->next = c->connected;
        return GO_ON;
    }
    is_sent = p->api.sendQueryParams(p->conn, "SELECT set_config('search_path', $1, false)", 1,
                                     NULL, (const char *[]){ lua_tostring(L, -1) }, NULL, NULL, 0);
    lua_pop(L, 1);
    return postgres_call_sent(L, c, is_sent, c->connected);
}
