#include "engine/op.h"

#include <lauxlib.h>
#include <string.h>

#include "base/clock.h"
#include "binding/error.h"
#include "engine/slots.h"
#include "engine/stop.h"

#define OP_TYPE "modalua.op"

enum { FAREWELL_SECONDS = 1 };

/* ---- life ---- */

static void leave_target(op *o)
{
    op **link;
    if (!o->target)
        return;
    for (link = &o->target->joiners; *link; link = &(*link)->next_joiner)
        if (*link == o) {
            *link = o->next_joiner;
            break;
        }
    o->target = NULL;
}

/* Releases what the op holds. Idempotent. */
static void op_close(op *o)
{
    if (!o->lp)
        return;
    http_end(&o->transfer);
    if (o->released)
        o->released(o);
    loop_clear_timer(o);
    loop_leave_outside(o);
    leave_target(o);
    slots_leave(o);
    if (o->parked)
        o->parked->waits = NULL;
    o->lp = NULL;
}

static int op_gc(lua_State *L)
{
    op_close(lua_touserdata(L, 1));
    return 0;
}

op *op_new(lua_State *L, loop *lp, size_t size, int values, op_advance_fn advance, const char *name)
{
    op *o = lua_newuserdatauv(L, size, values);
    memset(o, 0, size);
    if (luaL_newmetatable(L, OP_TYPE)) {
        lua_pushcfunction(L, op_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    o->lp = lp;
    o->advance = advance;
    o->name = name;
    return o;
}

void op_throw(lua_State *L, op *o)
{
    op_close(o);
    error_raise(L);
}

static _Noreturn void throw_no_memory(lua_State *L, op *o, const char *what)
{
    error_new(L, "limit", "memory", "not enough memory for %s", what);
    op_throw(L, o);
}

/* ---- what an operation waits for ---- */

int op_request(lua_State *L, op *o, http_server *s, const http_request *r)
{
    http_end(&o->transfer);
    o->ready = false;
    memset(&o->retry, 0, sizeof o->retry);
    if (!http_begin(&o->transfer, &o->lp->http, s, r) ||
        (o->tick > 0 && !loop_set_timer(o->lp, o, clock_now() + o->tick)))
        throw_no_memory(L, o, "a request");
    o->transfer.owner = o;
    return OP_WAIT;
}

bool op_is_under_way(const op *o)
{
    return o->retry.pausing || o->transfer.state == HTTP_WAITING ||
           o->transfer.state == HTTP_RUNNING;
}

int op_wait_on(lua_State *L, op *o)
{
    o->ready = false;
    if (!o->retry.pausing && !loop_set_timer(o->lp, o, clock_now() + o->tick))
        throw_no_memory(L, o, "a timer");
    return OP_WAIT;
}

int op_sleep(lua_State *L, op *o, double seconds)
{
    o->ready = false;
    if (!loop_set_timer(o->lp, o, clock_now() + seconds))
        throw_no_memory(L, o, "a timer");
    return OP_WAIT;
}

int op_join(op *o, task *target)
{
    o->ready = false;
    o->target = target;
    o->next_joiner = target->joiners;
    target->joiners = o;
    return OP_WAIT;
}

/* ---- the loop of one operation ---- */

static bool must_stop(const loop *lp)
{
    if (lp->stop == LOOP_KILL)
        return true;
    return lp->current ? lp->current->cancelled : lp->stop == LOOP_CANCEL;
}

/* Releases what an operation holds that will not be continued, but for what it still has to undo on
 * the server. */
static void give_up(lua_State *L, op *o)
{
    if (o->stopped && o->lp)
        o->stopped(L, o, o->lp->current && o->lp->current->detached);
    if (!o->farewell)
        op_close(o);
}

void op_call_back(lua_State *L, op *o)
{
    loop *lp = o->lp;
    if (lua_pcall(L, 1, 0, 0) == LUA_OK)
        return;
    lp->thrown_by_hook = NULL;
    give_up(L, o);
    stop_pass_on(L, lp);
    error_raise(L);
}

/* Operations that are cancelled, killed or stuck throw at the script's call. */
static void check_stop(lua_State *L, op *o)
{
    loop *lp = o->lp;
    loop_check(lp);
    if (must_stop(lp)) {
        give_up(L, o);
        stop_pass_on(L, lp);
        stop_throw_cancelled(L, lp);
    }
    if (o->stuck) {
        op_close(o);
        luaL_error(L, "deadlock: every task waits for another one");
    }
}

bool op_can_yield(lua_State *L, const loop *lp)
{
    return lp->current && L == lp->current->co && lua_isyieldable(L);
}

/* Blocks until the operation is ready or has to stop. Only outside any task may this run other
 * tasks. */
static void drive(lua_State *L, op *o)
{
    loop *lp = o->lp;
    lua_Hook hook = lua_gethook(L);
    if (o->turn && lp->current) {
        op_close(o);
        luaL_error(
            L, "cannot wait for a task here (inside a callback of C, or a coroutine of your own)");
    }
    stop_end_burst(lp);
    while (!o->ready && !must_stop(lp)) {
        if (o->turn)
            o->turn(L, lp, -1);
        else
            loop_pump(lp, -1);
        if (lp->farewells) /* what they hold, others may wait for */
            op_farewells_pending(L, lp, false);
        if (!lp->owned && lua_gethook(L) != hook) { /* how stock Lua's Ctrl-C asks for an error */
            give_up(L, o);
            luaL_error(L, "interrupted!");
        }
    }
    stop_restart_burst(lp);
}

/* What a function that the operation ended by calling has returned is all that is above the op. */
static int called_k(lua_State *L, int status, lua_KContext index)
{
    (void)status;
    return lua_gettop(L) - (int)index;
}

static int op_k(lua_State *L, int status, lua_KContext context)
{
    op *o = (op *)context;
    loop *lp = o->lp;
    int results;
    /* In a state that is not ours a script can resume a task's coroutine. */
    if (status == LUA_YIELD && !o->ready && !o->stuck && !must_stop(lp))
        return lua_yieldk(L, 0, context, op_k);
    for (;;) {
        check_stop(L, o);
        results = o->advance(L, o);
        if (results != OP_WAIT)
            break;
        if (op_can_yield(L, lp)) {
            o->parked = lp->current;
            lp->current->waits = o;
            return lua_yieldk(L, 0, context, op_k);
        }
        drive(L, o);
    }
    op_close(o);
    if (results == OP_CALL) {
        int index = o->index;
        lua_callk(L, lua_gettop(L) - index - 1, LUA_MULTRET, index, called_k);
        return called_k(L, LUA_OK, index);
    }
    return results;
}

int op_run(lua_State *L, op *o)
{
    o->index = lua_gettop(L);
    if (o->lp->farewells)
        op_farewells_pending(L, o->lp, false);
    return op_k(L, LUA_OK, (lua_KContext)o);
}

/* ---- farewells ---- */

bool op_farewell_request(op *o, http_server *s, const http_request *r)
{
    http_end(&o->transfer);
    o->ready = false;
    if (!http_begin(&o->transfer, &o->lp->http, s, r))
        return false;
    o->transfer.owner = o;
    return true;
}

/* In a state that is not ours nobody drains farewells when the script is over: the newest of these
 * userdata does, as the state is closed, before they are finalized themselves. */

static const char drain_key; /* of it in the registry */

static int drain_gc(lua_State *L)
{
    loop *lp = *(loop **)lua_touserdata(L, 1);
    double end = clock_now() + FAREWELL_SECONDS;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &drain_key);
    if (!lua_rawequal(L, 1, -1))
        return 0; /* there is a newer one */
    while (op_farewells_pending(L, lp, false) && clock_now() < end)
        loop_pump(lp, end - clock_now());
    return 0;
}

/* Before a farewell is linked; may throw. */
static void prepare_drain(lua_State *L, loop *lp)
{
    if (lp->owned)
        return;
    *(loop **)lua_newuserdatauv(L, sizeof lp, 0) = lp;
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, drain_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &drain_key);
}

static void link_farewell(op *o, int ref)
{
    o->farewell = ref;
    o->next_farewell = o->lp->farewells;
    o->lp->farewells = o;
}

void op_become_farewell(lua_State *L, op *o, const http_request *r, bool (*goes_on)(op *o))
{
    http_server *s = o->transfer.server;
    int ref;
    prepare_drain(L, o->lp);
    lua_pushvalue(L, o->index);
    ref = luaL_ref(L, LUA_REGISTRYINDEX); /* the last thing that can throw */
    loop_clear_timer(o);
    if (o->parked)
        o->parked->waits = NULL;
    o->parked = NULL;
    o->stopped = NULL;
    o->farewell_goes_on = goes_on;
    link_farewell(o, ref);
    if (r && !op_farewell_request(o, s, r))
        o->ready = true;
}

void op_farewell(lua_State *L, op *o, http_server *s, const http_request *r)
{
    int ref;
    prepare_drain(L, o->lp);
    ref = luaL_ref(L, LUA_REGISTRYINDEX); /* the last thing that can throw */
    link_farewell(o, ref);
    if (!op_farewell_request(o, s, r))
        o->ready = true;
}

bool op_farewells_pending(lua_State *L, loop *lp, bool all)
{
    op **link = &lp->farewells;
    while (*link) {
        op *o = *link;
        if (o->ready && !all && o->farewell_goes_on) {
            bool (*goes_on)(op *) = o->farewell_goes_on;
            o->farewell_goes_on = NULL;
            o->ready = !goes_on(o);
        }
        if (!o->ready && !all) {
            link = &o->next_farewell;
            continue;
        }
        *link = o->next_farewell;
        op_close(o);
        luaL_unref(L, LUA_REGISTRYINDEX, o->farewell);
    }
    return lp->farewells != NULL;
}
