/* engine/task.h - tasks: coroutines that the loop resumes. A task is the scope of the tasks that it
 * starts: it is done when they are. When it ends well it waits for them; when it fails or is
 * cancelled, so are they. An error that nobody joined becomes the error of the task that started
 * the one that failed: nothing that went wrong is lost. */
#ifndef ENGINE_TASK_H
#define ENGINE_TASK_H

#include <lua.h>

#include "engine/loop.h"

/* Makes a ready task from the function and its arguments on the top, as a child of the task that
 * runs. [-(args + 1), +1, m] */
task *task_new(lua_State *L, loop *lp, int args);

/* Moves the loop on, waiting at most `seconds` (negative: as long as it takes) when no task is
 * ready, then runs each that is, once. Outside any task only. [-0, +0, -] */
void task_turn(lua_State *L, loop *lp, double seconds);

/* Pushes the error and the traceback of a failed task. [-0, +2, -] */
void task_push_failure(lua_State *L, int index);

/* spawn(f, ...), sleep(seconds) and now(), for other bindings too. */
int task_spawn(lua_State *L);
int task_sleep(lua_State *L);
int task_now(lua_State *L);

/* The message handler of a function that catches an error to raise it again: the traceback of that
 * will lead to where it was first. */
int task_keep_origin(lua_State *L);

/* can_join() -> boolean, for the Lua half. Whether a task could be waited for here. */
int task_can_join(lua_State *L);

/* Pushes the module table of modalua.task. [-0, +1, m] */
void task_open(lua_State *L, loop *lp);

#endif
