/* engine/stop.h - how a run, or a single task that the host has cancelled, is stopped: the count hook,
 * the kill that a pcall cannot catch, and the limits of time.
 *
 * Lua calls the hook after a number of instructions, and the hook reads the clock. An instruction
 * that calls a C function can take a second; so the number adapts to the time that the last
 * instructions took, and stop_look makes it 1 after work that took long.
 *
 * A kill is a private value that the hook, or a waiting operation, throws. The library's own pcall,
 * xpcall and coroutine.* (embed/) throw it on, so after a kill only <close> handlers run,
 * of the whole run or of the one task. They have STOP_GRACE seconds; then the hook throws at every instruction. Hooks exist only in
 * states that modalua made: the hook finds the loop in the extra space of the state.
 */
#ifndef ENGINE_STOP_H
#define ENGINE_STOP_H

#include <lua.h>
#include <stdbool.h>

#include "engine/loop.h"

#define STOP_GRACE 0.05

/* The loop of a state that modalua made; its coroutines have the same. [-0, +0, -] */
loop *stop_loop(lua_State *L);

/* Marks a coroutine as the one of a task, which only the loop may resume; and whether it is marked.
 * For states that modalua made. [-0, +0, -] */
void stop_mark_task(lua_State *co);
bool stop_is_task(lua_State *co);

/* The same for a coroutine of a script that waits in an operation: its task is suspended with it, and
 * only that task goes on with it. [-0, +0, -] */
void stop_mark_waiting(lua_State *co, bool waiting);
bool stop_is_waiting(lua_State *co);

/* Puts the loop into the extra space of a state that modalua made. When the loop is interruptible,
 * sets the count hook, which every later coroutine inherits. [-0, +0, -] */
void stop_install(lua_State *L, loop *lp);

/* Sets the hook on a coroutine, so that a request to stop reaches Lua that does not wait.
 * Async-signal-safe as lua_sethook is: on the thread that runs L. [-0, +0, -] */
void stop_arm(lua_State *L);

/* A lua_CFunction without arguments and results, for a C function that takes long: throws what the hook
 * would throw. */
int stop_l_check(lua_State *L);

/* Reads the clock after work that may have taken long. If it has, the next instruction of the
 * running coroutine calls the hook. May be called anywhere on the thread of the loop, also by an
 * allocator. [-0, +0, -] */
void stop_look(loop *lp);

/* Lua runs in the coroutine `co` between these two calls: a signal handler that asks to stop sets
 * the hook on it, and a request that came earlier is not missed. `passes`: who resumes it can be
 * suspended too, and so can all others up to the task. stop_enter returns what ran before, which
 * stop_leave takes. [-0, +0, -] */
typedef struct stop_place {
    lua_State *running;
    bool passes;
} stop_place;
stop_place stop_enter(loop *lp, lua_State *co, bool passes);
void stop_leave(loop *lp, stop_place before);

/* A burst is the Lua time between two waits. restart: Lua goes on after a wait; end: it waits, or
 * has ended. [-0, +0, -] */
void stop_restart_burst(loop *lp);
void stop_end_burst(loop *lp);

/* As loop_enter_host and loop_leave_host; and the time does not belong to the burst. stop_enter_host
 * returns the seconds that are left of the burst, which stop_leave_host takes. [-0, +0, -] */
double stop_enter_host(loop *lp);
void stop_leave_host(loop *lp, double left);

/* Throw the kill, or an error of kind "cancelled". [-0, +0, v] */
_Noreturn void stop_throw_kill(lua_State *L, loop *lp);
_Noreturn void stop_throw_cancelled(lua_State *L, loop *lp);

/* Whether the value is a kill. [-0, +0, -] */
bool stop_is_kill(lua_State *L, int index);

/* For use after a failed protected call or resume: throws the kill again while the run, or the task that
 * runs, is being killed. [-0, +0, v] */
void stop_pass_on(lua_State *L, loop *lp);

/* Pushes the C function that is the first frame of every coroutine. Its arguments are a message
 * handler, a function and the function's arguments. It calls the function protected and throws the
 * error again; in Lua 5.4.4 hooks work again only after a protected call has caught the error of a
 * hook, and <close> handlers run after that. [-0, +1, -] */
void stop_push_base(lua_State *co);

#endif
