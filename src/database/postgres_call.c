#include "database/postgres_call.h"

#include <lauxlib.h>
#include <math.h>
#include <poll.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "database/postgres_cancel.h"
#include "database/postgres_values.h"
#include "engine/cleanup.h"
#include "engine/descriptor.h"
#include "engine/timer.h"

/* Between two looks at the cleanup that cancels the statement that was left. */
static const double drain_interval = 0.02;

/* A statement of db:run_slowly may take so many times the usual limit: ten minutes instead of 30 s. */
enum { SLOW_FACTOR = 20 };

/* ---- the connection ---- */

/* What the server says beside the results of a statement. It is not shown; FATAL says that the server ends the
 * connection. */
void postgres_call_on_notice(void *user, const PGresult *notice)
{
    postgres *p = user;
    const char *severity = p->api.resultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED);
    if (severity && strcmp(severity, "FATAL") == 0)
        p->is_ending = true;
}

const char *postgres_call_push_address(lua_State *L)
{
    lua_getiuservalue(L, DATABASE_DB, DATABASE_PLACE);
    return lua_tostring(L, -1);
}

/* The statement is left. [-0, +0, m] */
static void call_leave_statement(lua_State *L, postgres *p)
{
    p->is_unfinished = true;
    postgres_cancel(L, p->base.lp, &p->api, postgres_call_push_address(L), p->conn);
    lua_pop(L, 1);
}

void postgres_call_disconnect(postgres *p)
{
    postgres_connector_give_up(&p->connector);
    if (p->conn)
        p->api.finish(p->conn);
    p->conn = NULL;
}

void postgres_call_close(database *d)
{
    postgres *p = (postgres *)d;
    op *user = d->user;
    if (user) {
        d->user = NULL;
        descriptor_forget(user);
        timer_clear(user);
        loop_op_ready(user);
    }
    postgres_call_disconnect(p);
}

/* ---- the call ---- */

static void call_drop_result(postgres_call *c)
{
    if (c->result)
        c->p->api.clear(c->result);
    c->result = NULL;
}

/* It ends while it waits. A cancelled task cannot wait for anything: what it has sent is cancelled by a cleanup. */
static void call_on_stop(lua_State *L, op *o, bool detached)
{
    postgres_call *c = (postgres_call *)o;
    (void)detached;
    if (c->p->base.user == o && c->phase == RUNS && c->p->conn)
        call_leave_statement(L, c->p);
}

static void call_on_release(op *o)
{
    postgres_call *c = (postgres_call *)o;
    postgres *p = c->p;
    if (p->base.user == o) {
        p->base.user = NULL;
        if (c->phase == CONNECTS)
            postgres_call_disconnect(p);
        else
            p->is_unfinished = true;
    }
    call_drop_result(c);
}

/* While it waits for the end of a statement that was left, it looks after the cleanup that cancels that. */
int postgres_call_wait(lua_State *L, postgres_call *c, int fd, int events)
{
    double due = c->due;
    if (c->phase == DRAINS) {
        cleanup_collect(L, c->p->base.lp);
        due = fmin(due, clock_now() + drain_interval);
    }
    c->p->base.user = &c->op;
    return op_watch(L, &c->op, fd, (short)events, due);
}

void postgres_call_enter(postgres_call *c, enum postgres_phase phase)
{
    c->phase = phase;
    c->due = clock_now() + c->p->limits[phase] * (phase == RUNS && c->is_slow ? SLOW_FACTOR : 1);
}

const char *postgres_call_function(const postgres_call *c)
{
    return c->opens ? "open" : "run";
}

int postgres_call_fail(lua_State *L, const postgres_call *c, const char *sqlstate)
{
    int place;
    lua_getiuservalue(L, DATABASE_DB, DATABASE_PLACE);
    lua_insert(L, -2);
    place = lua_gettop(L) - 1;
    return postgres_fail(L, postgres_call_function(c), sqlstate, place);
}

bool postgres_call_is_rollback(lua_State *L, const postgres_call *c)
{
    return !c->opens && strcasecmp(lua_tostring(L, DATABASE_SQL), "ROLLBACK") == 0;
}

int postgres_call_rolled_back(lua_State *L, postgres *p)
{
    p->is_broken = false;
    lua_newtable(L);
    lua_pushinteger(L, 0);
    return 2;
}

/* Pushes nil and why the connection has gone: in the server's words, if it had any. [-0, +2, m] */
static int call_push_loss(lua_State *L, const postgres_call *c)
{
    const postgres_functions *api = &c->p->api;
    int place;
    lua_getiuservalue(L, DATABASE_DB, DATABASE_PLACE);
    place = lua_gettop(L);
    if (c->phase == DRAINS) {
        lua_pushliteral(L,
                        "the connection was given up: its last statement could not be cancelled");
        return postgres_fail(L, postgres_call_function(c), POSTGRES_LOST, place);
    }
    if (c->result && api->resultErrorField(c->result, PG_DIAG_SQLSTATE))
        return postgres_fail_result(L, api, c->result, place);
    return postgres_fail_message(L, postgres_call_function(c), POSTGRES_LOST,
                                 api->errorMessage(c->p->conn), place);
}

/* The connection has gone, or is given up. Returns the results of the call. */
static int call_lose(lua_State *L, postgres_call *c)
{
    postgres *p = c->p;
    int results = call_push_loss(L, c);
    p->is_broken = p->in_transaction;
    p->in_transaction = p->is_unfinished = false;
    postgres_call_disconnect(p);
    return postgres_call_is_rollback(L, c) ? postgres_call_rolled_back(L, p) : results;
}

/* A result is kept until the call has read it. */
static void call_keep_result(postgres_call *c, PGresult *result)
{
    const postgres_functions *api = &c->p->api;
    if (c->result && api->resultStatus(c->result) == PGRES_FATAL_ERROR) {
        api->clear(result);
        return;
    }
    call_drop_result(c);
    c->result = result;
}

static int call_time_is_over(lua_State *L, postgres_call *c)
{
    if (c->phase != RUNS)
        return call_lose(L, c);
    call_leave_statement(L, c->p);
    lua_pushliteral(L, "the statement took too long");
    return postgres_call_fail(L, c, POSTGRES_TIME_LIMIT);
}

/* Takes the results that are here. Returns whether there are no more; sets *is_alive. */
static bool call_take_results(postgres_call *c, bool *is_alive)
{
    const postgres_functions *api = &c->p->api;
    PGconn *conn = c->p->conn;
    while (!api->isBusy(conn)) {
        PGresult *result = api->getResult(conn);
        if (!result) {
            *is_alive = api->status(conn) == CONNECTION_OK;
            return true;
        }
        call_keep_result(c, result);
        if (api->resultStatus(c->result) >= PGRES_COPY_OUT &&
            api->resultStatus(c->result) <=
                PGRES_COPY_IN) { /* no statement of a ledger does that */
            *is_alive = false;
            return true;
        }
    }
    return false;
}

int postgres_call_complete(lua_State *L, postgres_call *c)
{
    const postgres_functions *api = &c->p->api;
    PGconn *conn = c->p->conn;
    bool is_alive = api->consumeInput(conn) == 1;
    int unsent = api->flush(conn);
    bool is_complete = call_take_results(c, &is_alive);
    if (unsent < 0 || !is_alive)
        return call_lose(L, c);
    if (is_complete) {
        c->next = c->then;
        return GO_ON;
    }
    if (clock_now() >= c->due)
        return call_time_is_over(L, c);
    return postgres_call_wait(L, c, api->socket(conn), POLLIN | (unsent > 0 ? POLLOUT : 0));
}

int postgres_call_sent(lua_State *L, postgres_call *c, int is_sent, postgres_step then)
{
    if (!is_sent)
        return call_lose(L, c);
    call_drop_result(c);
    c->next = postgres_call_complete;
    c->then = then;
    return GO_ON;
}

/* A transaction that is still open on the server is rolled back by the next call. */
void postgres_call_abandon(database *d)
{
    postgres *p = (postgres *)d;
    p->in_transaction = p->is_broken = false;
}

static int call_advance_steps(lua_State *L, op *o)
{
    postgres_call *c = (postgres_call *)o;
    int results;
    c->p->base.user = NULL;
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    if (!c->p->base.is_open && !c->opens) {
        lua_pushliteral(L, "the connection was closed meanwhile");
        return postgres_call_fail(L, c, POSTGRES_LOST);
    }
    do
        results = c->next(L, c);
    while (results == GO_ON);
    return results;
}

postgres_call *postgres_call_new(lua_State *L, postgres *p, const char *function,
                                 postgres_step first)
{
    postgres_call *c =
        (postgres_call *)op_new(L, p->base.lp, sizeof *c, 1, call_advance_steps, function);
    lua_pushvalue(L, DATABASE_DB);
    lua_setiuservalue(L, -2, 1);
    c->p = p;
    c->next = first;
    c->op.on_stop = call_on_stop;
    c->op.on_release = call_on_release;
    return c;
}
