/* engine/task.h - tasks: coroutines that task_turn resumes.
 *
 * A task is the scope of the tasks that it starts, its children: it is done when they are done.
 * When its function returns, it waits for them. When its function fails, or it is cancelled, they
 * are cancelled. When a child fails and no task joins it, its error becomes the error of the
 * parent, so that no error is lost.
 */
#ifndef ENGINE_TASK_H
#define ENGINE_TASK_H

#include <lua.h>

#include "engine/op.h"

typedef enum task_state {
    TASK_LIVE,
    TASK_CLOSING, /* its function has ended, some of its children have not */
    TASK_DONE
} task_state;

/* A userdata. It owns the coroutine; the loop only links it. */
struct task {
    loop *lp;
    lua_State *co;
    task_state state;
    int ref;     /* registry reference that keeps the userdata until the task is done, or, when it
                    failed, until its error has been read */
    int results; /* values on the stack of `co`, once it is done */
    bool started;
    bool queued; /* it is in the ready queue */
    bool cancelled;
    bool cancel_thrown; /* the error "cancelled" has been thrown into it */
    bool detached;      /* when it is cancelled, what it began on the server goes on */
    bool failed;
    bool joined; /* its error has been read, or need not be */

    /* ---- a task that the host has cancelled (loop_cancel_scope) ---- */
    /* when it is killed, on clock_now's clock; 0 = the host has not cancelled it */
    double kill_due;
    bool killed;           /* only its <close> handlers run */
    double kill_grace_end; /* until then they may; 0 = the kill has not been thrown yet */

    op *waits; /* the operation in which it has yielded; NULL: none */
    /* operations that wait for a callback of theirs (OP_REPORT), one in another */
    unsigned reports;
    op *joiners;       /* operations that wait for its end */
    task *next_ready;  /* in the ready queue */
    task *next, *prev; /* in loop->tasks */

    /* ---- the tree ---- */
    task *parent;          /* NULL: it was started outside any task */
    task *children;        /* not done yet, or failed and not joined; the newest first */
    task *sibling, *elder; /* the next and the previous child of the same parent */
    unsigned live_children;
};

/* Makes a ready task from the function and its arguments on the top, as a child of the task that
 * runs. [-(args + 1), +1, m] */
task *task_new(lua_State *L, loop *lp, int args);

/* Pumps the loop, waiting for at most `seconds` (negative: no limit) when no task is ready; then
 * resumes each ready task once. Only outside any task. [-0, +0, -] */
void task_turn(lua_State *L, loop *lp, double seconds);

/* Pushes the first result of the task at index, which is done and has not failed. False, and pushes
 * nothing: it has none. [-0, +(0|1), m] */
bool task_push_result(lua_State *L, int index);

/* Pushes the error and the traceback of the failed task at index. [-0, +2, -] */
void task_push_failure(lua_State *L, int index);

/* spawn(f, ...), sleep(seconds) and now(), for other bindings too. */
int task_l_spawn(lua_State *L);
int task_l_sleep(lua_State *L);
int task_l_now(lua_State *L);

/* can_join() -> boolean, for the Lua half. Whether a task could be waited for here. */
int task_l_can_join(lua_State *L);

/* Pushes the module table of modalua.task. [-0, +1, m] */
void task_open(lua_State *L, loop *lp);

#endif
