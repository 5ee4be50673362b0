#include "database/postgres.h"

#include <lauxlib.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "binding/error.h"
#include "database/database.h"
#include "database/library.h"
#include "database/postgres_values.h"
#include "engine/descriptor.h"
#include "engine/timer.h"

/* Seconds. To cancel a statement may take twice CANCEL_SECONDS: to ask for it, and until it has ended. */
enum { CONNECT_SECONDS = 10, STATEMENT_SECONDS = 30, CANCEL_SECONDS = 5 };

enum { POSTGRES_LEAST_VERSION = 120000, PARAMETERS_MAX = 65535, PLACE_LIMITS = 3 };

static const char *const postgres_names[] = { POSTGRES_FUNCTIONS(POSTGRES_NAME) NULL };
static const library postgres_library = { "libpq.so.5", "libpq5", postgres_names };

typedef struct postgres {
    database base;
    postgres_functions api;
    PGconn *conn;        /* NULL: it must be made */
    PGconn *helper;      /* a second connection, to cancel a statement of the first one */
    bool in_transaction; /* as the caller knows it */
    bool is_broken;      /* the connection was lost inside a transaction */
    bool is_unfinished;  /* a statement was left; it may still be executed */
    int kept;            /* statements that are prepared and kept */
    unsigned names;      /* that have been given to statements */
    double connect_seconds, statement_seconds;
} postgres;

typedef struct postgres_call postgres_call;

/* A step does one of three things: it starts a wait and returns OP_WAIT; it sets `next` and returns GO_ON; it
 * pushes the results of the call and returns their number. */
typedef int (*postgres_step)(lua_State *L, postgres_call *c);

enum { GO_ON = 0 };

enum postgres_phase {
    CONNECTS, /* the connection is made */
    CANCELS,  /* the second connection is made and used */
    DRAINS,   /* waits for the end of the statement that was left */
    RUNS
};

/* The connection is its user value, and at DATABASE_DB. */
struct postgres_call {
    op op;
    postgres *p;
    enum postgres_phase phase;
    postgres_step next, then; /* then: when all results of what was sent are here */
    double due;               /* the end of the time limit of the phase */
    const char *const *texts; /* of the parameters; the array is on the stack */
    int count;
    PGresult *result; /* the first one that is an error, or the last one */
    bool opens;       /* native.open */
    char name[16];    /* of the prepared statement; "": it is not kept */
};

/* ---- the connection ---- */

static void postgres_on_notice(void *user, const char *message)
{
    (void)user;
    (void)message;
}

static void postgres_finish_conn(const postgres *p, PGconn **conn)
{
    if (*conn)
        p->api.finish(*conn);
    *conn = NULL;
}

/* Starts a connection. NULL: not enough memory. The place of the database is its address. */
static PGconn *postgres_start(lua_State *L, const postgres *p)
{
    static const char *const keywords[] = { "dbname", "client_encoding",
                                            "fallback_application_name", "tcp_user_timeout", NULL };
    const char *values[] = { NULL, "UTF8", "modalua", "15000", NULL };
    PGconn *conn;
    lua_getiuservalue(L, DATABASE_DB, DATABASE_PLACE);
    values[0] = lua_tostring(L, -1);
    conn = p->api.connectStartParams(keywords, values, 1);
    lua_pop(L, 1);
    if (conn) {
        p->api.setNoticeProcessor(conn, postgres_on_notice, NULL);
        p->api.setErrorVerbosity(conn, PQERRORS_VERBOSE);
    }
    return conn;
}

/* A call that waits is told, and fails. */
static void postgres_close(database *d)
{
    postgres *p = (postgres *)d;
    op *user = d->user;
    if (user) {
        d->user = NULL;
        descriptor_forget(user);
        timer_clear(user);
        loop_op_ready(user);
    }
    postgres_finish_conn(p, &p->helper);
    postgres_finish_conn(p, &p->conn);
}

/* ---- the call ---- */

/* It ends while it waits: what is under way is left. */
static void postgres_leave(const postgres_call *c)
{
    postgres *p = c->p;
    switch (c->phase) {
    case CONNECTS: postgres_finish_conn(p, &p->conn); break;
    case CANCELS: postgres_finish_conn(p, &p->helper); break;
    case DRAINS: break;
    case RUNS: p->is_unfinished = true; break;
    }
}

static void postgres_drop_result(postgres_call *c)
{
    if (c->result)
        c->p->api.clear(c->result);
    c->result = NULL;
}

static void postgres_on_release(op *o)
{
    postgres_call *c = (postgres_call *)o;
    if (c->p->base.user == o) {
        c->p->base.user = NULL;
        postgres_leave(c);
    }
    postgres_drop_result(c);
}

static PGconn *postgres_conn(const postgres_call *c)
{
    return c->phase == CANCELS ? c->p->helper : c->p->conn;
}

static int postgres_wait(lua_State *L, postgres_call *c, int events)
{
    c->p->base.user = &c->op;
    return op_watch(L, &c->op, c->p->api.socket(postgres_conn(c)), (short)events, c->due);
}

static void postgres_set_limit(postgres_call *c, enum postgres_phase phase, double seconds)
{
    c->phase = phase;
    c->due = clock_now() + seconds;
}

static const char *postgres_function(const postgres_call *c)
{
    return c->opens ? "open" : "run";
}

/* Pushes nil and the error with the message on the top. [-1, +2, m] */
static int postgres_fail_call(lua_State *L, const postgres_call *c, const char *sqlstate)
{
    int place;
    lua_getiuservalue(L, DATABASE_DB, DATABASE_PLACE);
    lua_insert(L, -2);
    place = lua_gettop(L) - 1;
    return postgres_fail(L, postgres_function(c), sqlstate, place);
}

static bool postgres_is_rollback(lua_State *L, const postgres_call *c)
{
    return !c->opens && strcasecmp(lua_tostring(L, DATABASE_SQL), "ROLLBACK") == 0;
}

/* The results of a ROLLBACK of a transaction that is gone. */
static int postgres_rolled_back(lua_State *L, postgres *p)
{
    p->is_broken = false;
    lua_newtable(L);
    lua_pushinteger(L, 0);
    return 2;
}

/* Pushes nil and why the connection has gone: in the server's words, if it had any. [-0, +2, m] */
static int postgres_push_loss(lua_State *L, const postgres_call *c)
{
    const postgres_functions *api = &c->p->api;
    int place;
    lua_getiuservalue(L, DATABASE_DB, DATABASE_PLACE);
    place = lua_gettop(L);
    if (c->phase == CANCELS || c->phase == DRAINS) {
        lua_pushliteral(L,
                        "the connection was given up: its last statement could not be cancelled");
        return postgres_fail(L, postgres_function(c), POSTGRES_LOST, place);
    }
    if (c->result && api->resultErrorField(c->result, PG_DIAG_SQLSTATE))
        return postgres_fail_result(L, api, c->result, place);
    return postgres_fail_message(L, postgres_function(c), POSTGRES_LOST,
                                 api->errorMessage(c->p->conn), place);
}

/* The connection has gone, or is given up. Returns the results of the call. */
static int postgres_lose(lua_State *L, postgres_call *c)
{
    postgres *p = c->p;
    int results = postgres_push_loss(L, c);
    p->is_broken = p->in_transaction;
    p->in_transaction = p->is_unfinished = false;
    postgres_finish_conn(p, &p->helper);
    postgres_finish_conn(p, &p->conn);
    return postgres_is_rollback(L, c) ? postgres_rolled_back(L, p) : results;
}

/* A result is kept until the call has read it. */
static void postgres_keep_result(postgres_call *c, PGresult *result)
{
    const postgres_functions *api = &c->p->api;
    if (c->result && api->resultStatus(c->result) == PGRES_FATAL_ERROR) {
        api->clear(result);
        return;
    }
    postgres_drop_result(c);
    c->result = result;
}

static int postgres_time_is_over(lua_State *L, postgres_call *c)
{
    if (c->phase != RUNS)
        return postgres_lose(L, c);
    c->p->is_unfinished = true;
    lua_pushliteral(L, "the statement took too long");
    return postgres_fail_call(L, c, POSTGRES_TIME_LIMIT);
}

/* Takes the results that are here. Returns whether there are no more; sets *is_alive. */
static bool postgres_take_results(postgres_call *c, bool *is_alive)
{
    const postgres_functions *api = &c->p->api;
    PGconn *conn = postgres_conn(c);
    while (!api->isBusy(conn)) {
        PGresult *result = api->getResult(conn);
        if (!result) {
            *is_alive = api->status(conn) == CONNECTION_OK;
            return true;
        }
        postgres_keep_result(c, result);
        if (api->resultStatus(c->result) >= PGRES_COPY_OUT &&
            api->resultStatus(c->result) <=
                PGRES_COPY_IN) { /* no statement of a ledger does that */
            *is_alive = false;
            return true;
        }
    }
    return false;
}

/* Sends and receives until all results are here, and then goes on with the step `then`. */
static int postgres_complete(lua_State *L, postgres_call *c)
{
    const postgres_functions *api = &c->p->api;
    PGconn *conn = postgres_conn(c);
    bool is_alive = api->consumeInput(conn) == 1;
    int unsent = api->flush(conn);
    bool is_complete = postgres_take_results(c, &is_alive);
    if (unsent < 0 || !is_alive)
        return postgres_lose(L, c);
    if (is_complete) {
        c->next = c->then;
        return GO_ON;
    }
    if (clock_now() >= c->due)
        return postgres_time_is_over(L, c);
    return postgres_wait(L, c, POLLIN | (unsent > 0 ? POLLOUT : 0));
}

/* What one of the functions PQsend… has returned: 0 is a failure. */
static int postgres_sent(lua_State *L, postgres_call *c, int is_sent, postgres_step then)
{
    if (!is_sent)
        return postgres_lose(L, c);
    postgres_drop_result(c);
    c->next = postgres_complete;
    c->then = then;
    return GO_ON;
}

/* ---- connecting ---- */

static int postgres_connected(lua_State *L, postgres_call *c);
static int postgres_ask_to_cancel(lua_State *L, postgres_call *c);

static int postgres_fail_to_connect(lua_State *L, postgres_call *c, const char *message)
{
    postgres *p = c->p;
    if (c->phase == CANCELS)
        return postgres_lose(L, c);
    lua_getiuservalue(L, DATABASE_DB, DATABASE_PLACE);
    postgres_fail_connect(L, postgres_function(c), message, lua_gettop(L));
    postgres_finish_conn(p, &p->conn);
    return 2;
}

static int postgres_poll(lua_State *L, postgres_call *c)
{
    const postgres_functions *api = &c->p->api;
    PGconn *conn = postgres_conn(c);
    PostgresPollingStatusType status = api->connectPoll(conn);
    if (status == PGRES_POLLING_OK) {
        api->setnonblocking(conn, 1);
        c->next = c->phase == CANCELS ? postgres_ask_to_cancel : postgres_connected;
        return GO_ON;
    }
    if (status == PGRES_POLLING_FAILED)
        return postgres_fail_to_connect(L, c, api->errorMessage(conn));
    if (clock_now() >= c->due)
        return postgres_fail_to_connect(L, c, "the server does not answer");
    return postgres_wait(L, c, status == PGRES_POLLING_READING ? POLLIN : POLLOUT);
}

/* Starts one of the two connections. */
static int postgres_connect(lua_State *L, postgres_call *c, PGconn **conn)
{
    const postgres_functions *api = &c->p->api;
    *conn = postgres_start(L, c->p);
    if (!*conn)
        return postgres_fail_to_connect(L, c, "not enough memory");
    if (api->status(*conn) == CONNECTION_BAD)
        return postgres_fail_to_connect(L, c, api->errorMessage(*conn));
    c->next = postgres_poll;
    return postgres_wait(L, c, POLLOUT);
}

/* A step. No statement is prepared on a new connection. */
static int postgres_connect_first(lua_State *L, postgres_call *c)
{
    postgres *p = c->p;
    lua_newtable(L);
    lua_setiuservalue(L, DATABASE_DB, DATABASE_STATEMENTS);
    p->kept = 0;
    p->in_transaction = p->is_unfinished = false;
    postgres_set_limit(c, CONNECTS, p->connect_seconds);
    return postgres_connect(L, c, &p->conn);
}

static int postgres_prepare(lua_State *L, postgres_call *c);

static int postgres_opened(lua_State *L, postgres_call *c)
{
    c->p->base.is_open = true;
    lua_pushvalue(L, DATABASE_DB);
    return 1;
}

/* A server of version 14 or later looks from time to time whether its client is still there, and else ends the
 * statement and its locks. On some systems it cannot: then the setting fails. */
static int postgres_connected(lua_State *L, postgres_call *c)
{
    postgres *p = c->p;
    int version = p->api.serverVersion(p->conn);
    if (version < POSTGRES_LEAST_VERSION)
        return postgres_fail_to_connect(L, c, "PostgreSQL 12 or later is needed");
    c->next = c->opens ? postgres_opened : postgres_prepare;
    if (version < 140000)
        return GO_ON;
    return postgres_sent(
        L, c, p->api.sendQuery(p->conn, "SET client_connection_check_interval = '1s'"), c->next);
}

/* ---- a statement that was left ---- */

static int postgres_begin(lua_State *L, postgres_call *c);

static int postgres_drained(lua_State *L, postgres_call *c)
{
    postgres *p = c->p;
    bool was_in_transaction = p->in_transaction;
    PGTransactionStatusType status = p->api.transactionStatus(p->conn);
    p->is_unfinished = false;
    c->next = postgres_prepare;
    if (was_in_transaction &&
        status == PQTRANS_IDLE) { /* a COMMIT that the caller takes for failed */
        p->is_broken = true;
        p->in_transaction = false;
        c->next = postgres_begin;
    }
    if (was_in_transaction || status == PQTRANS_IDLE)
        return GO_ON;
    /* a BEGIN that the caller takes for failed */
    return postgres_sent(L, c, p->api.sendQuery(p->conn, "ROLLBACK"), postgres_prepare);
}

static int postgres_cancelled(lua_State *L, postgres_call *c)
{
    postgres *p = c->p;
    (void)L;
    postgres_finish_conn(p, &p->helper);
    postgres_drop_result(c);
    postgres_set_limit(c, DRAINS, CANCEL_SECONDS);
    c->next = postgres_complete;
    c->then = postgres_drained;
    return GO_ON;
}

/* PQcancel would block, without end when the server has stopped. */
static int postgres_ask_to_cancel(lua_State *L, postgres_call *c)
{
    postgres *p = c->p;
    char pid[16];
    const char *values[] = { pid };
    snprintf(pid, sizeof pid, "%d", p->api.backendPID(p->conn));
    return postgres_sent(L, c,
                         p->api.sendQueryParams(p->helper, "SELECT pg_cancel_backend($1)", 1, NULL,
                                                values, NULL, NULL, 0),
                         postgres_cancelled);
}

static int postgres_cancel(lua_State *L, postgres_call *c)
{
    postgres_set_limit(c, CANCELS, CANCEL_SECONDS);
    return postgres_connect(L, c, &c->p->helper);
}

/* ---- db:run ---- */

/* The server has refused the statement. */
static int postgres_fail_statement(lua_State *L, const postgres_call *c)
{
    const postgres_functions *api = &c->p->api;
    const char *sqlstate = api->resultErrorField(c->result, PG_DIAG_SQLSTATE);
    if (api->resultStatus(c->result) == PGRES_EMPTY_QUERY)
        error_usage(L, "db:run: there is no statement in the text");
    if (sqlstate && strcmp(sqlstate, POSTGRES_WRONG_COUNT) == 0)
        error_usage(L, "db:run: %s", api->resultErrorField(c->result, PG_DIAG_MESSAGE_PRIMARY));
    lua_getiuservalue(L, DATABASE_DB, DATABASE_PLACE);
    return postgres_fail_result(L, api, c->result, lua_gettop(L));
}

static int postgres_executed(lua_State *L, postgres_call *c)
{
    postgres *p = c->p;
    PGTransactionStatusType status = p->api.transactionStatus(p->conn);
    ExecStatusType outcome = p->api.resultStatus(c->result);
    p->in_transaction = status != PQTRANS_IDLE;
    if (outcome == PGRES_TUPLES_OK || outcome == PGRES_COMMAND_OK) {
        postgres_push_rows(L, &p->api, c->result);
        return 2;
    }
    return postgres_fail_statement(L, c);
}

static int postgres_execute(lua_State *L, postgres_call *c)
{
    postgres *p = c->p;
    return postgres_sent(
        L, c, p->api.sendQueryPrepared(p->conn, c->name, c->count, c->texts, NULL, NULL, 0),
        postgres_executed);
}

/* The name of a statement that is kept is remembered. */
static int postgres_prepared(lua_State *L, postgres_call *c)
{
    if (c->p->api.resultStatus(c->result) != PGRES_COMMAND_OK)
        return postgres_executed(L, c);
    if (c->name[0]) {
        lua_getiuservalue(L, DATABASE_DB, DATABASE_STATEMENTS);
        lua_pushvalue(L, DATABASE_SQL);
        lua_pushstring(L, c->name);
        lua_rawset(L, -3);
        lua_pop(L, 1);
        c->p->kept++;
    }
    c->next = postgres_execute;
    return GO_ON;
}

static int postgres_prepare(lua_State *L, postgres_call *c)
{
    postgres *p = c->p;
    postgres_set_limit(c, RUNS, p->statement_seconds);
    c->name[0] = '\0';
    lua_getiuservalue(L, DATABASE_DB, DATABASE_STATEMENTS);
    lua_pushvalue(L, DATABASE_SQL);
    if (lua_rawget(L, -2) == LUA_TSTRING) {
        snprintf(c->name, sizeof c->name, "%s", lua_tostring(L, -1));
        lua_pop(L, 2);
        c->next = postgres_execute;
        return GO_ON;
    }
    lua_pop(L, 2);
    if (p->kept < DATABASE_STATEMENTS_MAX)
        snprintf(c->name, sizeof c->name, "s%u", ++p->names);
    return postgres_sent(
        L, c, p->api.sendPrepare(p->conn, c->name, lua_tostring(L, DATABASE_SQL), 0, NULL),
        postgres_prepared);
}

/* A server that has been restarted meanwhile has closed the connection. */
static bool postgres_has_gone(const postgres *p)
{
    for (int i = 0; i < 2; i++) /* why the server ends it, and then the end */
        if (p->api.consumeInput(p->conn) != 1)
            return true;
    return false;
}

static int postgres_begin(lua_State *L, postgres_call *c)
{
    postgres *p = c->p;
    if (p->is_broken && postgres_is_rollback(L, c))
        return postgres_rolled_back(L, p);
    if (p->is_broken) {
        lua_pushliteral(
            L, "the transaction is gone, with its connection or its COMMIT: ROLLBACK comes first");
        return postgres_fail_call(L, c, POSTGRES_LOST);
    }
    if (p->conn && !p->in_transaction && !p->is_unfinished && postgres_has_gone(p))
        postgres_finish_conn(p, &p->conn);
    c->next = !p->conn           ? postgres_connect_first
              : p->is_unfinished ? postgres_cancel
                                 : postgres_prepare;
    return GO_ON;
}

static int postgres_advance(lua_State *L, op *o)
{
    postgres_call *c = (postgres_call *)o;
    int results;
    c->p->base.user = NULL;
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    if (!c->p->base.is_open && !c->opens) {
        lua_pushliteral(L, "the connection was closed meanwhile");
        return postgres_fail_call(L, c, POSTGRES_LOST);
    }
    do
        results = c->next(L, c);
    while (results == GO_ON);
    return results;
}

/* Pushes a call on the connection at DATABASE_DB. [-0, +1, m] */
static postgres_call *postgres_new_call(lua_State *L, postgres *p, const char *function,
                                        postgres_step first)
{
    postgres_call *c =
        (postgres_call *)op_new(L, p->base.lp, sizeof *c, 1, postgres_advance, function);
    lua_pushvalue(L, DATABASE_DB);
    lua_setiuservalue(L, -2, 1);
    c->p = p;
    c->next = first;
    c->op.on_release = postgres_on_release;
    return c;
}

static int postgres_run(lua_State *L, database *d)
{
    postgres *p = (postgres *)d;
    int count = lua_gettop(L) - DATABASE_SQL, bad;
    const char *const *texts;
    postgres_call *c;
    if (count > PARAMETERS_MAX)
        error_usage(L, "db:run: there are too many parameters");
    texts = postgres_push_parameters(L, DATABASE_FIRST_PARAMETER, &bad);
    c = postgres_new_call(L, p, "run", postgres_begin);
    if (!texts) {
        lua_pushfstring(L, "the parameter $%d has a NUL, which PostgreSQL cannot store", bad);
        return postgres_fail_call(L, c, POSTGRES_BAD_TEXT);
    }
    c->texts = texts;
    c->count = count;
    return op_run(L, &c->op);
}

/* ---- native.open ---- */

bool postgres_is_address(const char *target)
{
    return strncmp(target, "postgresql://", strlen("postgresql://")) == 0 ||
           strncmp(target, "postgres://", strlen("postgres://")) == 0;
}

/* Why an address is refused: a static text; NULL: it is not. The text repeats nothing of the address. */
static const char *postgres_address_fault(const postgres *p, const char *address)
{
    PQconninfoOption *options = p->api.conninfoParse(address, NULL);
    const char *fault = NULL;
    if (!options)
        return "this is no address of PostgreSQL: postgresql://[USER@]HOST[:PORT]/DATABASE is "
               "right";
    for (const PQconninfoOption *o = options; o->keyword; o++)
        if (o->val &&
            (strcmp(o->keyword, "password") == 0 || strcmp(o->keyword, "sslpassword") == 0))
            fault =
                "an address must not have a password: ~/.pgpass or PGPASSWORD is the place for it";
    p->api.conninfoFree(options);
    return fault;
}

static double postgres_limit(lua_State *L, const char *name, double usual)
{
    if (lua_istable(L, PLACE_LIMITS) && lua_getfield(L, PLACE_LIMITS, name) == LUA_TNUMBER)
        return lua_tonumber(L, -1);
    return usual;
}

static const database_kind postgres_kind = { "postgresql", postgres_run, postgres_close };

int postgres_open(lua_State *L, loop *lp)
{
    enum { ADDRESS = 1 };
    const char *address = lua_tostring(L, ADDRESS), *fault;
    postgres *p = (postgres *)database_new(L, lp, &postgres_kind, sizeof *p);
    postgres_call *c;
    p->connect_seconds = postgres_limit(L, "connect", CONNECT_SECONDS);
    p->statement_seconds = postgres_limit(L, "statement", STATEMENT_SECONDS);
    lua_settop(L, PLACE_LIMITS + 1);
    if (!library_load(L, &postgres_library, &p->api))
        return database_fail(L, "open", "library");
    fault = strlen(address) == lua_rawlen(L, ADDRESS) ? postgres_address_fault(p, address)
                                                      : "an address cannot have a NUL";
    if (fault) {
        lua_pushstring(L, fault);
        return database_fail(L, "open", "address");
    }
    lua_pushvalue(L, ADDRESS);
    lua_setiuservalue(L, -2, DATABASE_PLACE);
    lua_replace(L, DATABASE_DB);
    c = postgres_new_call(L, p, "open", postgres_connect_first);
    c->opens = true;
    return op_run(L, &c->op);
}
