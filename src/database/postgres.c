#include "database/postgres.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "binding/error.h"
#include "database/library.h"
#include "database/postgres_call.h"
#include "database/postgres_cancel.h"
#include "database/postgres_connect.h"
#include "database/postgres_values.h"

/* Seconds. A statement that was left is waited for as long as its cancelling may take. */
enum { CONNECT_SECONDS = 10, STATEMENT_SECONDS = 30 };

enum { PARAMETERS_MAX = 65535, PLACE_OPTIONS = 3 };

static const char *const postgres_names[] = { POSTGRES_FUNCTIONS(POSTGRES_NAME) NULL };
static const library postgres_library = { "libpq.so.5", "libpq5", postgres_names };

static int postgres_prepare(lua_State *L, postgres_call *c);

/* ---- what was left ---- */

static int postgres_begin(lua_State *L, postgres_call *c);

/* The caller takes a transaction for ended, or for one that has never begun. */
static int postgres_roll_back(lua_State *L, postgres_call *c)
{
    postgres_call_enter(c, RUNS);
    return postgres_call_sent(L, c, c->p->api.sendQuery(c->p->conn, "ROLLBACK"), postgres_prepare);
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
    postgres_call_enter(c, DRAINS);
    c->next = postgres_call_complete;
    c->then = postgres_drained;
    return GO_ON;
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
    return postgres_call_sent(
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
    postgres_call_enter(c, RUNS);
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
    return postgres_call_sent(
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
    if (p->is_broken && postgres_call_is_rollback(L, c))
        return postgres_call_rolled_back(L, p);
    if (p->is_broken) {
        lua_pushliteral(
            L, "the transaction is gone, with its connection or its COMMIT: ROLLBACK comes first");
        return postgres_call_fail(L, c, POSTGRES_LOST);
    }
    if (p->conn && !p->in_transaction && !p->is_unfinished && postgres_has_gone(p))
        postgres_call_disconnect(p);
    c->next = postgres_first_step(p);
    return GO_ON;
}

static int postgres_run(lua_State *L, database *d, bool is_slow)
{
    postgres *p = (postgres *)d;
    int count = lua_gettop(L) - DATABASE_SQL, bad;
    const char *const *texts;
    postgres_call *c;
    if (count > PARAMETERS_MAX)
        error_usage(L, "db:run: there are too many parameters");
    texts = postgres_push_parameters(L, DATABASE_FIRST_PARAMETER, &bad);
    c = postgres_call_new(L, p, "run", postgres_begin);
    if (!texts) {
        lua_pushfstring(L, "the parameter $%d has a NUL, which PostgreSQL cannot store", bad);
        return postgres_call_fail(L, c, POSTGRES_BAD_TEXT);
    }
    c->connected = postgres_prepare;
    c->is_slow = is_slow;
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

static int postgres_opened(lua_State *L, postgres_call *c)
{
    c->p->base.is_open = true;
    lua_pushvalue(L, DATABASE_DB);
    return 1;
}

static const database_kind postgres_kind = { "postgresql", postgres_run, postgres_call_abandon,
                                             postgres_call_close };

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
    c = postgres_call_new(L, p, "open", postgres_connect);
    c->connected = postgres_opened;
    c->opens = true;
    return op_run(L, &c->op);
}
