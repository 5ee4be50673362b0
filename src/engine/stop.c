#include "engine/stop.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>

#include "base/clock.h"
#include "binding/error.h"
#include "engine/task.h"

/* Instructions from one call of the hook to the next, while they are quick; and how many calls in a row
 * must find them quick before the hook is called that rarely. */
enum { COUNT_QUICK = 100, QUICK_CALLS = 32 };

/* Seconds: a quarter of how late a kill may be. More than two steps of clock_coarse. */
#define SLOW 0.025

static const char kill_token; /* its address, as light userdata, is the kill */

/* ---- the hook ---- */

static void stop_hook(lua_State *L, lua_Debug *ar);

/* The hook is next called after `count` instructions. */
static void set_count(lua_State *L, int count)
{
    lua_sethook(L, stop_hook, LUA_MASKCOUNT, count);
}

/* An instruction that calls a C function can take a second. When the instructions since the last
 * call of the hook were slow, each instruction calls it from now on, until enough of them were quick.
 * The count changes seldom: lua_sethook visits every frame of the stack. */
static void adapt_count(lua_State *L, loop *lp, double now)
{
    int count = lua_gethookcount(L);
    bool slow = now - lp->looked >= SLOW;
    lp->looked = now;
    lp->quick = slow ? 0 : lp->quick + 1;
    if (slow && count > 1)
        set_count(L, 1);
    else if (count == 1 && lp->quick >= QUICK_CALLS)
        set_count(L, COUNT_QUICK);
}

/* Kills Lua that has gone on too long without a wait. */
static void check_burst(loop *lp, double now)
{
    double end = atomic_load_explicit(&lp->burst_end, memory_order_relaxed);
    if (end > 0 && now >= end)
        loop_kill(lp, REASON_LUA_TIME);
}

/* Pushes the error that a cancel throws into the task that runs. [-0, +1, m] */
static void push_cancelled(lua_State *L, loop *lp)
{
    if (lp->current)
        lp->current->cancel_thrown = true;
    error_new(L, "cancelled", NULL, "cancelled");
}

/* Until when <close> handlers may run after the kill that is under way; 0 = it has not been thrown yet. */
static double *kill_grace_end(loop *lp)
{
    return lp->stop == LOOP_KILL ? &lp->kill_grace_end : &lp->current->kill_grace_end;
}

/* Acts on requests to stop and on limits that are over: throws the kill. True: the error that a cancel
 * throws has been pushed. [-0, +(0|1), v] */
static bool must_throw(lua_State *L, loop *lp, double now)
{
    const task *t = lp->current;
    loop_check_at(lp, now);
    check_burst(lp, now);
    if (loop_kills(lp)) {
        if (*kill_grace_end(lp) == 0 || now >= *kill_grace_end(lp))
            stop_throw_kill(L, lp);
        return false;
    }
    if (!t || t->cancel_thrown || (lp->stop != LOOP_CANCEL && t->kill_due == 0))
        return false;
    push_cancelled(L, lp);
    return true;
}

static void stop_hook(lua_State *L, lua_Debug *ar)
{
    loop *lp = stop_loop(L);
    double now = clock_coarse();
    (void)ar;
    adapt_count(L, lp, now);
    if (must_throw(L, lp, now)) {
        lp->thrown_by_hook = lua_topointer(L, -1);
        error_raise(L);
    }
}

int stop_l_check(lua_State *L)
{
    if (must_throw(L, stop_loop(L), clock_coarse()))
        error_raise(L);
    return 0;
}

/* The count starts with 1, since the first instructions may be slow. */
void stop_arm(lua_State *L)
{
    set_count(L, 1);
}

void stop_look(loop *lp)
{
    lua_State *running = atomic_load_explicit(&lp->running, memory_order_relaxed);
    if (running && lua_gethook(running) == stop_hook && lua_gethookcount(running) > 1 &&
        clock_coarse() - lp->looked >= SLOW) {
        lp->quick = 0;
        set_count(running, 1);
    }
}

void stop_install(lua_State *L, loop *lp)
{
    *(loop **)lua_getextraspace(L) = lp;
    lp->owned = true;
    if (lp->interruptible)
        stop_arm(L);
}

/* Each coroutine has an extra space of its own; a new one gets a copy of the main thread's. The
 * lowest bits of the pointer in it are marks. */
enum { MARK_TASK = 1, MARK_WAITING = 2, MARKS = MARK_TASK | MARK_WAITING };

loop *stop_loop(lua_State *L)
{
    return (loop *)(*(uintptr_t *)lua_getextraspace(L) & ~(uintptr_t)MARKS);
}

void stop_mark_task(lua_State *co)
{
    *(uintptr_t *)lua_getextraspace(co) |= MARK_TASK;
}

bool stop_is_task(lua_State *co)
{
    return *(uintptr_t *)lua_getextraspace(co) & MARK_TASK;
}

void stop_mark_waiting(lua_State *co, bool waiting)
{
    uintptr_t *space = lua_getextraspace(co);
    *space = waiting ? *space | MARK_WAITING : *space & ~(uintptr_t)MARK_WAITING;
}

bool stop_is_waiting(lua_State *co)
{
    return *(uintptr_t *)lua_getextraspace(co) & MARK_WAITING;
}

/* Whether the run or the task that runs has been asked to stop, or a task of which the loop does not know yet. */
static bool is_asked_to_stop(const loop *lp)
{
    return loop_cancels(lp) > 0 || (lp->current && lp->current->kill_due > 0) ||
           atomic_load(&lp->task_cancels_requested);
}

/* Sets the hook when a request to stop came while no coroutine ran. It is not set again where it is
 * set: that would restart its count, and coroutines that alternate would never reach the end of it.
 */
static void arm_late(loop *lp, lua_State *co)
{
    if (lp->owned && is_asked_to_stop(lp) && lua_gethook(co) != stop_hook)
        stop_arm(co);
}

stop_place stop_enter(loop *lp, lua_State *co, bool passes)
{
    stop_place before = { atomic_exchange(&lp->running, co), lp->passes };
    lp->passes = passes;
    arm_late(lp, co);
    return before;
}

void stop_leave(loop *lp, stop_place before)
{
    atomic_store(&lp->running, before.running);
    lp->passes = before.passes;
    if (before.running)
        arm_late(lp, before.running);
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

double stop_enter_host(loop *lp)
{
    double end = atomic_load(&lp->burst_end);
    stop_end_burst(lp);
    loop_enter_host(lp);
    return end > 0 ? end - clock_now() : HUGE_VAL;
}

void stop_leave_host(loop *lp, double left)
{
    loop_leave_host(lp);
    stop_look(lp);
    if (left < HUGE_VAL)
        atomic_store(&lp->burst_end, clock_now() + left);
}

/* ---- throwing ---- */

/* The seconds that <close> handlers have after a kill. After os.exit they have as much time as
 * after a cancel, within the limits of the run. */
static double grace(const loop *lp, double now)
{
    if (lp->reason != REASON_EXIT || lp->burst > 0)
        return STOP_GRACE;
    if (lp->deadline == 0 || lp->deadline > now + lp->grace)
        return lp->grace;
    return lp->deadline > now + STOP_GRACE ? lp->deadline - now : STOP_GRACE;
}

/* Notes where the script is that a limit ends: when the error is read, its stack is gone. The first place counts;
 * a kill is thrown again in the functions around it. */
static void note_place(lua_State *L, loop *lp)
{
    lua_Debug ar;
    if (lp->stop == LOOP_KILL && !lp->kill_place[0] && error_find_line(L, &ar))
        snprintf(lp->kill_place, sizeof lp->kill_place, "%s:%d", ar.short_src, ar.currentline);
}

/* The next instruction calls the hook, which throws again when the grace period is over. */
void stop_throw_kill(lua_State *L, loop *lp)
{
    double now = clock_now(), *end = kill_grace_end(lp);
    note_place(L, lp);
    set_count(L, 1);
    if (*end == 0)
        *end = now + grace(lp, now);
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
    if (loop_kills(lp))
        stop_throw_kill(L, lp);
}

/* ---- the base frame ---- */

static int stop_base_k(lua_State *L, int status, lua_KContext context)
{
    (void)context;
    if (status != LUA_OK && status != LUA_YIELD)
        return lua_error(L);
    return lua_gettop(L) - 1; /* slot 1 is the message handler */
}

static int stop_l_base(lua_State *L)
{
    return stop_base_k(L, lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 1, 0, stop_base_k), 0);
}

void stop_push_base(lua_State *co)
{
    lua_pushcfunction(co, stop_l_base);
}
