/* engine/stop.h - engine/stop.c: how a run is stopped: the count hook, the kill that no pcall can
 * hold on to, and the clocks.
 *
 * A kill is a private token, thrown by the hook or by the operation that waits. Our own pcall,
 * xpcall and coroutine.* (embed/stdlib.c) pass it on, so nothing but <close> handlers runs after
 * it; those have STOP_GRACE seconds, then the hook throws at every instruction. Hooks exist only in
 * states that we own: the loop is found in the state's extra space.
 */
#ifndef ENGINE_STOP_H
#define ENGINE_STOP_H

#include <lua.h>
#include <stdbool.h>

#include "engine/loop.h"

#define STOP_GRACE 0.05

/* The loop of a state that we own; coroutines share it. [-0, +0, -] */
loop *stop_loop(lua_State *L);

/* A task's coroutine is the loop's alone to resume. In a state that we own. [-0, +0, -] */
void stop_mark_task(lua_State *co);
bool stop_is_task(lua_State *co);

/* Makes the state ours, and sets the count hook that every later coroutine inherits when the loop
 * is interruptible. [-0, +0, -] */
void stop_install(lua_State *L, loop *lp);

/* Sets the hook on a coroutine, so that a request to stop reaches Lua that does not wait.
 * Async-signal-safe as lua_sethook is: on the thread that runs L. [-0, +0, -] */
void stop_arm(lua_State *L);

/* The clock is looked at by the next instruction of what runs. Any place on its thread, an
 * allocator too. [-0, +0, -] */
void stop_hurry(loop *lp);

/* Between these two Lua runs in `co`: a request to stop that comes from a signal handler arms that
 * one, and one that came in between is not missed. stop_enter returns the coroutine that ran
 * before. [-0, +0, -] */
lua_State *stop_enter(loop *lp, lua_State *co);
void stop_leave(loop *lp, lua_State *before);

/* Lua goes on after a wait; it waits, or has ended. [-0, +0, -] */
void stop_restart_burst(loop *lp);
void stop_end_burst(loop *lp);

/* Between these two the time is the host's; it is no wait: what the pause returns is what is left
 * afterwards. [-0, +0, -] */
double stop_pause_burst(loop *lp);
void stop_resume_burst(loop *lp, double left);

/* Throw. [-0, +0, v] */
_Noreturn void stop_throw_kill(lua_State *L, loop *lp);
_Noreturn void stop_throw_cancelled(lua_State *L, loop *lp);

/* Whether the value is the token of a kill. [-0, +0, -] */
bool stop_is_kill(lua_State *L, int index);

/* After a protected call or a resume that failed: throws again while the run is being killed. [-0,
 * +0, v] */
void stop_pass_on(lua_State *L, loop *lp);

/* Pushes the C function that is the base frame of every coroutine of ours: called with a message
 * handler, a function and its arguments, it calls that protected and throws again. Under it hooks
 * work before <close> handlers run. [-0, +1, -] */
void stop_push_base(lua_State *co);

#endif
