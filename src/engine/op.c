#include "engine/op.h"

#include <lauxlib.h>
#include <string.h>

#include "base/clock.h"
#include "binding/error.h"
#include "engine/cleanup.h"
#include "engine/descriptor.h"
#include "engine/slots.h"
#include "engine/stop.h"
#include "engine/task.h"
#include "engine/timer.h"

#define OP_TYPE "modalua.op"

/* ---- life ---- */

static void leave_target(op *o)
{
    op **link;
    if (!o->join.target)
        return;
    link = &o->join.target->joiners;
    while (*link != o)
        link = &(*link)->join.next;
    *link = o->join.next;
    o->join.target = NULL;
}

void op_release(op *o)
{
    if (!o->lp)
        return;
    http_end(&o->transfer);
    if (o->on_release)
        o->on_release(o);
    timer_clear(o);
    descriptor_forget(o);
    loop_forget_external(o);
    leave_target(o);
    slots_release(o);
    if (o->waiter)
        o->waiter->waits = NULL;
    o->lp = NULL;
}

static int op_gc(lua_State *L)
{
    op_release(lua_touserdata(L, 1));
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

static void give_up(lua_State *L, op *o);

void op_throw(lua_State *L, op *o)
{
    give_up(L, o);
    error_raise(L);
}

static _Noreturn void throw_no_memory(lua_State *L, op *o, const char *what)
{
    error_new(L, "limit", "memory", "not enough memory for %s", what);
    op_throw(L, o);
}

/* ---- waits ---- */

bool op_can_yield(lua_State *L, const loop *lp)
{
    return lp->current && lp->passes && L == atomic_load(&lp->running) && lua_isyieldable(L);
}

/* Throws when the operation would have to block a host that drives the run step by step. Called before
 * a request is sent. [-0, +0, v] */
static void check_can_wait(lua_State *L, op *o)
{
    const loop *lp = o->lp;
    if (!lp->stepped || op_can_yield(L, lp))
        return;
    give_up(L, o);
    error_usage(
        L,
        "%s: cannot wait here: a C function that cannot be suspended makes this call (a "
        "callback of gsub, sort or load, a metamethod such as __tostring, coroutine.close), "
        "and the host runs the script step by step. Make the call outside of it",
        o->name);
}

bool op_send(op *o, http_server *s, const http_request *r)
{
    http_request own = *r;
    own.cleanup = o->cleanup.ref != 0;
    own.operation = own.cleanup ? OP_CLEANUP : o->name;
    http_end(&o->transfer);
    o->ready = false;
    if (!http_begin(&o->transfer, &o->lp->http, s, &own))
        return false;
    o->transfer.owner = o;
    return true;
}

int op_request(lua_State *L, op *o, http_server *s, const http_request *r)
{
    check_can_wait(L, o);
    memset(&o->retry, 0, sizeof o->retry);
    if (!op_send(o, s, r) || !timer_set_progress(o))
        throw_no_memory(L, o, "a request");
    return OP_WAIT;
}

bool op_request_is_running(const op *o)
{
    return o->retry.pausing || o->transfer.state == HTTP_WAITING ||
           o->transfer.state == HTTP_RUNNING;
}

int op_keep_waiting(lua_State *L, op *o)
{
    o->ready = false;
    if (!o->retry.pausing && !timer_set_progress(o))
        throw_no_memory(L, o, "a timer");
    return OP_WAIT;
}

int op_sleep(lua_State *L, op *o, double seconds)
{
    check_can_wait(L, o);
    o->ready = false;
    if (!timer_set(o, clock_now() + seconds))
        throw_no_memory(L, o, "a timer");
    return OP_WAIT;
}

int op_watch(lua_State *L, op *o, int fd, short events, double due)
{
    check_can_wait(L, o);
    o->ready = false;
    if (!descriptor_watch(o, fd, events) || !timer_set(o, due))
        throw_no_memory(L, o, "a descriptor");
    return OP_WAIT;
}

int op_join(op *o, task *target)
{
    o->ready = false;
    o->join.target = target;
    o->join.next = target->joiners;
    target->joiners = o;
    return OP_WAIT;
}

/* ---- the loop of one operation ---- */

static bool must_stop(const loop *lp)
{
    if (loop_kills(lp))
        return true;
    return lp->current ? lp->current->cancelled : lp->stop == LOOP_CANCEL;
}

/* Releases an operation that will not be continued. What it began on the server is stopped by a
 * cleanup request, which it may become itself. */
static void give_up(lua_State *L, op *o)
{
    const loop *lp = o->lp;
    if (o->on_stop && lp)
        o->on_stop(L, o, lp->current && lp->current->detached);
    if (!o->cleanup.ref)
        op_release(o);
}

/* A callback of the script has ended with that status: throws its error. */
static void check_called_back(lua_State *L, op *o, int status)
{
    loop *lp = o->lp;
    if (lp->current && lp->current->reports > 0) /* another task may have resumed the coroutine */
        lp->current->reports--;
    if (status == LUA_OK || status == LUA_YIELD)
        return;
    lp->thrown_by_hook = NULL;
    give_up(L, o);
    stop_pass_on(L, lp);
    error_raise(L);
}

/* Calls the callback of the script, below its argument on the top; `k` goes on when it has waited. */
static void op_call_back(lua_State *L, op *o, lua_KFunction k)
{
    task *t = o->lp->current;
    if (t)
        t->reports++;
    check_called_back(L, o, lua_pcallk(L, 1, 0, 0, (lua_KContext)o, k));
}

/* Throws when the operation is cancelled, killed, or in a deadlock. */
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
        op_release(o);
        error_usage(L, "deadlock: every task waits for another one");
    }
}

/* Blocks until the operation is ready or has to stop. Runs other tasks only outside any task: a
 * task that is running cannot be resumed. */
static void drive_in_place(lua_State *L, op *o)
{
    loop *lp = o->lp;
    lua_Hook hook = lua_gethook(L);
    if (o->turn && lp->current) {
        op_release(o);
        error_usage(L, "cannot wait for a task here (inside a callback of a C function%s)",
                    lp->owned ? "" : ", or a coroutine of your own");
    }
    stop_end_burst(lp);
    while (!o->ready && !must_stop(lp)) {
        if (o->turn)
            o->turn(L, lp, -1);
        else
            loop_pump(lp, -1);
        if (lp->cleanups) /* they may hold the slot that this operation waits for */
            cleanup_collect(L, lp);
        if (!lp->owned && lua_gethook(L) != hook) { /* Ctrl-C in stock Lua sets a hook */
            give_up(L, o);
            error_usage(L, "interrupted!");
        }
    }
    stop_restart_burst(lp);
}

/* For OP_CALL: only the results of the call are above the op. */
static int op_called_k(lua_State *L, int status, lua_KContext index)
{
    (void)status;
    return lua_gettop(L) - (int)index;
}

/* The op has ended with that number of results, or in OP_CALL. */
static int op_end(lua_State *L, op *o, int results)
{
    if (!o->cleanup.ref)
        op_release(o);
    if (results == OP_CALL) {
        int index = o->index;
        lua_callk(L, lua_gettop(L) - index - 1, LUA_MULTRET, index, op_called_k);
        return op_called_k(L, LUA_OK, index);
    }
    return results;
}

/* A lua_KFunction: the last callback, which has waited, has ended. */
static int op_last_reported_k(lua_State *L, int status, lua_KContext context)
{
    op *o = (op *)context;
    check_called_back(L, o, status);
    return op_end(L, o, o->results);
}

static int op_go_on(lua_State *L, op *o, bool waits);

static int op_k(lua_State *L, int status, lua_KContext context)
{
    op *o = (op *)context;
    /* In a state that is not ours a script can resume the coroutine of a task. */
    if (status == LUA_YIELD && !o->ready && !o->stuck && !must_stop(o->lp))
        return lua_yieldk(L, 0, context, op_k);
    return op_go_on(L, o, false);
}

/* A lua_KFunction: a callback, which has waited, has ended. */
static int op_reported_k(lua_State *L, int status, lua_KContext context)
{
    op *o = (op *)context;
    check_called_back(L, o, status);
    return op_go_on(L, o, true);
}

/* Calls advance, and waits, until the op has ended. `waits`: it begins with a wait. */
static int op_go_on(lua_State *L, op *o, bool waits)
{
    loop *lp = o->lp;
    int results;
    for (;;) {
        if (waits && !o->ready && !must_stop(lp)) {
            if (op_can_yield(L, lp)) {
                o->waiter = lp->current;
                lp->current->waits = o;
                return lua_yieldk(L, 0, (lua_KContext)o, op_k);
            }
            check_can_wait(L, o);
            drive_in_place(L, o);
        }
        check_stop(L, o);
        results = o->advance(L, o);
        if (results == OP_REPORT)
            op_call_back(L, o, op_reported_k);
        waits = results == OP_WAIT || results == OP_REPORT;
        if (!waits)
            break;
    }
    if (results == OP_LAST_REPORT) {
        op_call_back(L, o, op_last_reported_k);
        results = o->results;
    }
    return op_end(L, o, results);
}

int op_run(lua_State *L, op *o)
{
    o->index = lua_gettop(L);
    if (o->lp->cleanups)
        cleanup_collect(L, o->lp);
    return op_k(L, LUA_OK, (lua_KContext)o);
}
