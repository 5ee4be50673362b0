#include "engine/cleanup.h"

#include <lauxlib.h>
#include <string.h>

#include "base/clock.h"
#include "engine/slots.h"
#include "engine/task.h"
#include "engine/timer.h"

/* ---- the end of a state that is not ours ----
 *
 * In a state that modalua owns, the run waits for cleanup requests (embed/run.c). In another state
 * there is no such moment: a userdata in the registry waits in its __gc, when the state is closed.
 * Lua finalizes the newest userdata first, so a new one for each request is finalized before the op
 * of that request; only the newest one waits. */

enum { SECONDS_AT_CLOSE = 1 };

static const char closer_key; /* its address is the newest userdata's place in the registry */

static int closer_gc(lua_State *L)
{
    loop *lp = *(loop **)lua_touserdata(L, 1);
    double end = clock_now() + SECONDS_AT_CLOSE;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &closer_key);
    if (!lua_rawequal(L, 1, -1))
        return 0; /* there is a newer one */
    while (cleanup_collect(L, lp) && clock_now() < end)
        loop_pump(lp, end - clock_now());
    return 0;
}

/* [-0, +0, m] */
static void make_closer(lua_State *L, loop *lp)
{
    if (lp->owned)
        return;
    *(loop **)lua_newuserdatauv(L, sizeof lp, 0) = lp;
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, closer_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &closer_key);
}

/* ---- starting ---- */

/* Takes the op's userdata from the top. Nothing throws after this. [-1, +0, m] */
static void link_op(lua_State *L, op *o)
{
    loop *lp = o->lp;
    int ref = luaL_ref(L, LUA_REGISTRYINDEX);
    o->cleanup.ref = ref;
    o->cleanup.next = lp->cleanups;
    lp->cleanups = o;
}

void cleanup_start(lua_State *L, op *o, http_server *s, const http_request *r)
{
    make_closer(L, o->lp);
    link_op(L, o);
    if (!op_send(o, s, r))
        o->ready = true; /* there is nothing to wait for */
}

void cleanup_start_steps(lua_State *L, op *o, bool (*next_step)(op *o))
{
    make_closer(L, o->lp);
    link_op(L, o);
    o->cleanup.next_step = next_step;
    o->ready = true;
}

void cleanup_take_over(lua_State *L, op *o, const http_request *r, bool (*next_request)(op *o))
{
    http_server *s = o->transfer.server;
    make_closer(L, o->lp);
    lua_pushvalue(L, o->index);
    link_op(L, o);
    timer_clear(o);
    if (o->waiter)
        o->waiter->waits = NULL;
    o->waiter = NULL;
    o->on_stop = NULL;
    o->cleanup.next_request = next_request;
    memset(&o->retry, 0, sizeof o->retry);
    o->transfer.request.operation = OP_CLEANUP; /* the script's name can be gone soon */
    if (!r)
        http_set_apart(&o->transfer);
    else if (!op_send(o, s, r))
        o->ready = true;
}

/* ---- ending ---- */

/* Whether the answer that has come leads to another request, or a step to another one. */
static bool goes_on(op *o)
{
    bool (*next_request)(op *) = o->cleanup.next_request;
    if (o->cleanup.next_step)
        return o->cleanup.next_step(o);
    o->cleanup.next_request = NULL;
    memset(&o->retry, 0, sizeof o->retry);
    return next_request && next_request(o);
}

/* The op at *link is over. */
static void unlink_op(lua_State *L, op **link)
{
    op *o = *link;
    *link = o->cleanup.next;
    op_release(o);
    luaL_unref(L, LUA_REGISTRYINDEX, o->cleanup.ref);
}

bool cleanup_collect(lua_State *L, loop *lp)
{
    op **link = &lp->cleanups;
    bool own = false;
    while (*link) {
        if (!(*link)->ready || goes_on(*link)) {
            own = own || !(*link)->cleanup.left;
            link = &(*link)->cleanup.next;
        } else {
            unlink_op(L, link);
        }
    }
    return own;
}

void cleanup_leave(loop *lp)
{
    for (op *o = lp->cleanups; o; o = o->cleanup.next) {
        o->cleanup.left = true;
        slots_release(o);
    }
}

void cleanup_abort(lua_State *L, loop *lp)
{
    while (lp->cleanups)
        unlink_op(L, &lp->cleanups);
}
