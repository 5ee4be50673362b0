#include "database/postgres.h"

#include <lauxlib.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "binding/error.h"
#include "database/database.h"
#include "database/library.h"
#include "database/postgres_cancel.h"
#include "database/postgres_conn.h"
#include "database/postgres_values.h"
#include "engine/cleanup.h"
#include "engine/descriptor.h"
#include "engine/timer.h"

/* Seconds. A statement that was left is waited for as long as its cancelling may take. */
enum { CONNECT_SECONDS = 10, STATEMENT_SECONDS = 30 };

/* Between two looks at the cleanup that cancels it. */
static const double drain_interval = 0.02;

enum { POSTGRES_LEAST_VERSION = 120000, PARAMETERS_MAX = 65535, PLACE_OPTIONS = 3 };

static const char *const postgres_names[] = { POSTGRES_FUNCTIONS(POSTGRES_NAME) NULL };
static const library postgres_library = { "libpq.so.5", "libpq5", postgres_names };

typedef struct postgres {
    database base;
    postgres_functions api;
    PGconn *conn;        /* NULL: it must be made */
    bool in_transaction; /* as the caller knows it */
    bool is_broken;      /* the connection was lost inside a transaction */
    bool is_ending;      /* the server has said so */
    bool is_unfinished;  /* a statement was left; it may still be executed */
    int kept;            /* statements that are prepared and kept */
    unsigned names;      /* that have been given to statements */
    double limits[3];    /* of each phase of a call, in seconds */
} postgres;

typedef struct postgres_call postgres_call;

/* A step does one of three things: it starts a wait and returns OP_WAIT; it sets `next` and returns GO_ON; it
 * pushes the results of the call and returns their number. */
typedef int (*postgres_step)(lua_State *L, postgres_call *c);

enum { GO_ON = 0 };

enum postgres_phase {
    CONNECTS, /* the connection is made */
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

/* What the server says beside the results of a statement. It is not shown; FATAL says that the server ends the
 * connection. */
static void postgres_on_notice(void *user, const PGresult *notice)
{
    postgres *p = user;
    const char *severity = p->api.resultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED);
    if (severity && strcmp(severity, "FATAL") == 0)
        p->is_ending = true;
}

/* Pushes the address of the database, which is its place. [-0, +1, -] */
static const char *postgres_push_address(lua_State *L)
{
    lua_getiuservalue(L, DATABASE_DB, DATABASE_PLACE);
    return lua_tostring(L, -1);
}

/* The statement is left. [-0, +0, m] */
static void postgres_leave_statement(lua_State *L, postgres *p)
{
    p->is_unfinished = true;
    postgres_cancel(L, p->base.lp, &p->api, postgres_push_address(L), p->api.backendPID(p->conn));
    lua_pop(L, 1);
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
    postgres_conn_finish(&p->api, &p->conn);
}

/* ---- the call ---- */

static void postgres_drop_result(postgres_call *c)
{
    if (c->result)
        c->p->api.clear(c->result);
    c->result = NULL;
}

/* It ends while it waits. A cancelled task cannot wait for anything: what it has sent is cancelled by a cleanup. */
static void postgres_on_stop(lua_State *L, op *o, bool detached)
{
    postgres_call *c = (postgres_call *)o;
    (void)detached;
    if (c->p->base.user == o && c->phase == RUNS && c->p->conn)
        postgres_leave_statement(L, c->p);
}

static void postgres_on_release(op *o)
{
    postgres_call *c = (postgres_call *)o;
    postgres *p = c->p;
    if (p->base.user == o) {
        p->base.user = NULL;
        if (c->phase == CONNECTS)
            postgres_conn_finish(&p->api, &p->conn);
        else
            p->is_unfinished = true;
    }
    postgres_drop_result(c);
}

/* While it waits for the end of a statement that was left, it looks after the cleanup that cancels that. */
static int postgres_wait(lua_State *L, postgres_call *c, int events)
{
    double due = c->due;
    if (c->phase == DRAINS) {
        cleanup_collect(L, c->p->base.lp);
        due = fmin(due, clock_now() + drain_interval);
    }
    c->p->base.user = &c->op;
    return op_watch(L, &c->op, c->p->api.socket(c->p->conn), (short)events, due);
}

static void postgres_enter(postgres_call *c, enum postgres_phase phase)
{
    c->phase = phase;
    c->due = clock_now() + c->p->limits[phase];
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
    if (c->phase == DRAINS) {
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
    postgres_conn_finish(&p->api, &p->conn);
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
    postgres_leave_statement(L, c->p);
    lua_pushliteral(L, "the statement took too long");
    return postgres_fail_call(L, c, POSTGRES_TIME_LIMIT);
}

/* Takes the results that are here. Returns whether there are no more; sets *is_alive. */
static bool postgres_take_results(postgres_call *c, bool *is_alive)
{
    const postgres_functions *api = &c->p->api;
    PGconn *conn = c->p->conn;
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
    PGconn *conn = c->p->conn;
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

static int postgres_fail_to_connect(lua_State *L, postgres_call *c, const char *message)
{
    postgres *p = c->p;
    postgres_push_address(L);
    postgres_fail_connect(L, postgres_function(c), message, lua_gettop(L));
    postgres_conn_finish(&p->api, &p->conn);
    return 2;
}

static int postgres_poll(lua_State *L, postgres_call *c)
{
    const postgres *p = c->p;
    short events = postgres_conn_poll(&p->api, p->conn);
    if (events == 0) {
        c->next = postgres_connected;
        return GO_ON;
    }
    if (events < 0)
        return postgres_fail_to_connect(L, c, p->api.errorMessage(p->conn));
    if (clock_now() >= c->due)
        return postgres_fail_to_connect(L, c, "the server does not answer");
    return postgres_wait(L, c, events);
}

/* No statement is prepared on a new connection. */
static int postgres_connect(lua_State *L, postgres_call *c)
{
    postgres *p = c->p;
    lua_newtable(L);
    lua_setiuservalue(L, DATABASE_DB, DATABASE_STATEMENTS);
    p->kept = 0;
    p->in_transaction = p->is_unfinished = p->is_ending = false;
    postgres_enter(c, CONNECTS);
    p->conn = postgres_conn_start(&p->api, postgres_push_address(L), postgres_on_notice, p);
    lua_pop(L, 1);
    if (!p->conn)
        return postgres_fail_to_connect(L, c, "not enough memory");
    if (p->api.status(p->conn) == CONNECTION_BAD)
        return postgres_fail_to_connect(L, c, p->api.errorMessage(p->conn));
    c->next = postgres_poll;
    return postgres_wait(L, c, POLLOUT);
}

static int postgres_prepare(lua_State *L, postgres_call *c);

static int postgres_set_search_path(lua_State *L, postgres_call *c);

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
    c->next = postgres_set_search_path;
    if (version < 140000)
        return GO_ON;
    return postgres_sent(L, c,
                         p->api.sendQuery(p->conn, "SET client_connection_check_interval = '1s'"),
                         postgres_set_search_path);
}

/* The last step of a connection: the schema of the ledger. */
static int postgres_set_search_path(lua_State *L, postgres_call *c)
{
    const postgres *p = c->p;
    postgres_step then = c->opens ? postgres_opened : postgres_prepare;
    int is_sent;
    lua_getiuservalue(L, DATABASE_DB, DATABASE_SEARCH_PATH);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        c->next = then;
        return GO_ON;
    }
    is_sent = p->api.sendQueryParams(p->conn, "SELECT set_config('search_path', $1, false)", 1,
                                     NULL, (const char *[]){ lua_tostring(L, -1) }, NULL, NULL, 0);
    lua_pop(L, 1);
    return postgres_sent(L, c, is_sent, then);
}

/* ---- what was left ---- */

static int postgres_begin(lua_State *L, postgres_call *c);

/* The caller takes a transaction for ended, or for one that has never begun. */
static int postgres_roll_back(lua_State *L, postgres_call *c)
{
    postgres_enter(c, RUNS);
    return postgres_sent(L, c, c->p->api.sendQuery(c->p->conn, "ROLLBACK"), postgres_prepare);
}

/* The statement has ended; it may have been a COMMIT. */
static int postgres_drained(lua_State *L, postgres_call *c)
{
    postgres *p = c->p;
    (void)L;
    p->is_unfinished = false;
    if (p->in_transaction && p->api.transactionStatus(p->conn) == PQTRANS_IDLE) {
        p->is_broken = true;
        p->in_transaction = false;
    }
    c->next = postgres_begin;
    return GO_ON;
}

static int postgres_drain(lua_State *L, postgres_call *c)
{
    (void)L;
    postgres_enter(c, DRAINS);
    c->next = postgres_complete;
    c->then = postgres_drained;
    return GO_ON;
}

/* A transaction that is still open on the server is rolled back by the next call. */
static void postgres_abandon(database *d)
{
    postgres *p = (postgres *)d;
    p->in_transaction = p->is_broken = false;
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
    postgres_enter(c, RUNS);
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

/* Whether the server has ended the connection since the last statement: it may have been restarted. */
static bool postgres_has_gone(const postgres *p)
{
    return p->api.consumeInput(p->conn) != 1 || p->api.isBusy(p->conn) || p->is_ending;
}

/* What a call has to do first. */
static postgres_step postgres_first_step(const postgres *p)
{
    if (!p->conn)
        return postgres_connect;
    if (p->is_unfinished)
        return postgres_drain;
    if (!p->in_transaction && p->api.transactionStatus(p->conn) != PQTRANS_IDLE)
        return postgres_roll_back;
    return postgres_prepare;
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
        postgres_conn_finish(&p->api, &p->conn);
    c->next = postgres_first_step(p);
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
    c->op.on_stop = postgres_on_stop;
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
    bool is_given =
        lua_istable(L, PLACE_OPTIONS) && lua_getfield(L, PLACE_OPTIONS, name) == LUA_TNUMBER;
    return is_given ? lua_tonumber(L, -1) : usual;
}

static const database_kind postgres_kind = { "postgresql", postgres_run, postgres_abandon,
                                             postgres_close };

int postgres_open(lua_State *L, loop *lp)
{
    enum { ADDRESS = 1 };
    const char *address = lua_tostring(L, ADDRESS), *fault;
    postgres *p = (postgres *)database_new(L, lp, &postgres_kind, sizeof *p);
    postgres_call *c;
    p->limits[CONNECTS] = postgres_limit(L, "connect", CONNECT_SECONDS);
    p->limits[DRAINS] = postgres_limit(L, "cancel", CANCEL_SECONDS);
    p->limits[RUNS] = postgres_limit(L, "statement", STATEMENT_SECONDS);
    lua_settop(L, PLACE_OPTIONS + 1);
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
    if (lua_istable(L, PLACE_OPTIONS)) {
        lua_getfield(L, PLACE_OPTIONS, "search_path");
        lua_setiuservalue(L, -2, DATABASE_SEARCH_PATH);
    }
    lua_replace(L, DATABASE_DB);
    c = postgres_new_call(L, p, "open", postgres_connect);
    c->opens = true;
    return op_run(L, &c->op);
}
