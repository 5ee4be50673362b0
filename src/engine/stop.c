#include "engine/stop.h"

#include <math.h>
#include <stdint.h>

#include "base/clock.h"
#include "binding/error.h"
#include "engine/task.h"

enum { COUNT_MAX = 100 };

/* Seconds: a tenth of how late a kill may be. Not less than a step of clock_coarse. */
#define SLOW 0.01

static const char kill_token;

/* ---- the hook ---- */

static void tick(lua_State *L, lua_Debug *ar);

/* The hook is next called after `count` instructions. */
static void set_count(lua_State *L, int count)
{
    lua_sethook(L, tick, LUA_MASKCOUNT, count);
}

/* An instruction that calls a C function can take a second. When the instructions since the last
 * look at the clock were slow, the hook is called after each one; while they are quick, after twice
 * as many as before. */
static void adapt_count(lua_State *L, loop *lp, double now)
{
    int count = lua_gethookcount(L);
    bool slow = now - lp->looked >= SLOW;
    lp->looked = now;
    if (slow && count > 1)
        set_count(L, 1);
    else if (!slow && count < COUNT_MAX)
        set_count(L, count < COUNT_MAX / 2 ? count * 2 : COUNT_MAX);
}

/* Kills Lua that has gone on too long without a wait. */
static void check_burst(loop *lp, double now)
{
    double end = atomic_load_explicit(&lp->burst_end, memory_order_relaxed);
    if (end > 0 && now >= end)
        loop_kill(lp, REASON_LUA_TIME);
}

static void push_cancelled(lua_State *L, loop *lp)
{
    if (lp->current)
        lp->current->cancel_thrown = true;
    error_new(L, "cancelled", NULL, "cancelled");
}

static void tick(lua_State *L, lua_Debug *ar)
{
    loop *lp = stop_loop(L);
    double now = clock_coarse();
    (void)ar;
    adapt_count(L, lp, now);
    loop_check_at(lp, now);
    check_burst(lp, now);
    if (lp->stop == LOOP_KILL) {
        if (lp->kill_grace_end == 0 || now >= lp->kill_grace_end)
            stop_throw_kill(L, lp);
    } else if (lp->stop == LOOP_CANCEL && lp->current && !lp->current->cancel_thrown) {
        push_cancelled(L, lp);
        lp->thrown_by_hook = lua_topointer(L, -1);
        error_raise(L);
    }
}

/* The first instructions may be slow. */
void stop_arm(lua_State *L)
{
    set_count(L, 1);
}

void stop_look(loop *lp)
{
    lua_State *running = atomic_load_explicit(&lp->running, memory_order_relaxed);
    if (running && lua_gethook(running) == tick && lua_gethookcount(running) > 1 &&
        clock_coarse() - lp->looked >= SLOW)
        set_count(running, 1);
}

void stop_install(lua_State *L, loop *lp)
{
    *(loop **)lua_getextraspace(L) = lp;
    lp->owned = true;
    if (lp->interruptible)
        stop_arm(L);
}

/* Every thread has an extra space of its own, copied from the main one's: the lowest bit tells a
 * task's coroutine from others. */
loop *stop_loop(lua_State *L)
{
    return (loop *)(*(uintptr_t *)lua_getextraspace(L) & ~(uintptr_t)1);
}

void stop_mark_task(lua_State *co)
{
    *(uintptr_t *)lua_getextraspace(co) |= 1;
}

bool stop_is_task(lua_State *co)
{
    return *(uintptr_t *)lua_getextraspace(co) & 1;
}

/* A request to stop has come meanwhile. Setting a hook anew would begin its count anew: coroutines
 * that take turns would never reach it. */
static void arm_late(loop *lp, lua_State *co)
{
    if (lp->owned && atomic_load(&lp->cancels) > 0 && lua_gethook(co) != tick)
        stop_arm(co);
}

lua_State *stop_enter(loop *lp, lua_State *co)
{
    lua_State *before = atomic_exchange(&lp->running, co);
    arm_late(lp, co);
    return before;
}

void stop_leave(loop *lp, lua_State *before)
{
    atomic_store(&lp->running, before);
    if (before)
        arm_late(lp, before);
}

void stop_restart_burst(loop *lp)
{
    if (lp->burst > 0)
        atomic_store(&lp->burst_end, clock_now() + lp->burst);
}

void stop_end_burst(loop *lp)
{
    if (lp->burst > 0)
        atomic_store(&lp->burst_end, 0);
}

double stop_pause_burst(loop *lp)
{
    double end = atomic_load(&lp->burst_end);
    stop_end_burst(lp);
    return end > 0 ? end - clock_now() : HUGE_VAL;
}

void stop_resume_burst(loop *lp, double left)
{
    stop_look(lp);
    if (left < HUGE_VAL)
        atomic_store(&lp->burst_end, clock_now() + left);
}

/* ---- throwing ---- */

/* <close> handlers have a little time; those of an os.exit as much as a cancel has, within the
 * run's own limits. */
static double grace(const loop *lp, double now)
{
    if (lp->reason != REASON_EXIT || lp->burst > 0)
        return STOP_GRACE;
    if (lp->deadline == 0 || lp->deadline > now + lp->grace)
        return lp->grace;
    return lp->deadline > now + STOP_GRACE ? lp->deadline - now : STOP_GRACE;
}

/* After the grace the very next instruction throws again. */
void stop_throw_kill(lua_State *L, loop *lp)
{
    double now = clock_now();
    set_count(L, 1);
    if (lp->kill_grace_end == 0)
        lp->kill_grace_end = now + grace(lp, now);
    lua_pushlightuserdata(L, (void *)&kill_token);
    error_raise(L);
}

void stop_throw_cancelled(lua_State *L, loop *lp)
{
    push_cancelled(L, lp);
    error_raise(L);
}

bool stop_is_kill(lua_State *L, int index)
{
    return lua_touserdata(L, index) == &kill_token;
}

void stop_pass_on(lua_State *L, loop *lp)
{
    if (lp->stop == LOOP_KILL)
        stop_throw_kill(L, lp);
}

/* ---- the base frame ---- */

static int base_k(lua_State *L, int status, lua_KContext context)
{
    (void)context;
    if (status != LUA_OK && status != LUA_YIELD)
        return lua_error(L);
    return lua_gettop(L) - 1; /* slot 1 is the message handler */
}

static int base(lua_State *L)
{
    return base_k(L, lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 1, 0, base_k), 0);
}

void stop_push_base(lua_State *co)
{
    lua_pushcfunction(co, base);
}
