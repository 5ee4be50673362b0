/* engine/loop.h - the loop of one runtime: it moves HTTP transfers and timers on, and marks the
 * operations ready whose wait is over.
 *
 * Three structs work together. The loop is this one. An operation (op.h) is one call of a script that
 * waits. A task (task.h) is a coroutine; while it waits, it has yielded in an operation. loop_pump
 * marks operations ready and puts their tasks into the ready queue; it resumes no task: task_turn
 * does.
 *
 * Knows no Lua API: lua_State is only named.
 */
#ifndef ENGINE_LOOP_H
#define ENGINE_LOOP_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/memory.h"
#include "base/wakeup.h"
#include "http/http.h"

typedef struct lua_State lua_State;
typedef struct loop loop;
typedef struct op op;
typedef struct task task;
typedef struct slots slots;

typedef enum loop_stop {
    LOOP_GO,
    LOOP_CANCEL, /* thrown once into every task */
    LOOP_KILL    /* nothing may run on: thrown again and again */
} loop_stop;

/* Why a run was killed. */
typedef enum loop_reason {
    REASON_NONE,
    REASON_CANCELLED,
    REASON_RUN_TIME,
    REASON_LUA_TIME,
    REASON_EXIT
} loop_reason;

struct loop {
    memory *memory;
    memory own_memory; /* `memory` points here in a state that modalua does not own */
    http http;
    bool owned;     /* modalua made the lua_State: limits, hooks and base frames apply */
    bool sandboxed; /* scripts have no files, and reach only the servers of the host
                       (embed/sandbox.h) */

    /* ---- tasks (task.c) ---- */
    task *current;            /* the one that runs; NULL outside any */
    task *ready, *ready_tail; /* the queue of those that task_turn resumes */
    task *tasks;              /* all that are not done */
    unsigned live;            /* how many those are */

    /* ---- operations ---- */
    struct loop_timers { /* timer.c */
        op **heap;
        size_t count, room;
    } timers;
    op *external; /* those that wait for an answer from outside the loop */
    op *cleanups; /* detached cleanup requests (cleanup.c) */
    slots *slots; /* of all modalities and peers in use (slots.c) */

    /* ---- waking it from other threads and signal handlers ---- */
    wakeup wakeup;
    atomic_bool woken; /* loop_wake was called since the last look */

    /* ---- requests to stop ---- */
    atomic_uint cancels; /* how often loop_cancel was called in this run */
    _Atomic double due;  /* when a kill is or was due, on clock_now's clock; 0 = not yet, less =
                            there is no run */
    loop_stop stop;
    loop_reason reason;
    double deadline;            /* of the run; 0 = none */
    double grace;               /* seconds from a cancel to the kill */
    double kill_grace_end;      /* until when <close> handlers may run after a kill; 0 = nothing was
                                   thrown yet */
    double burst;               /* seconds of Lua between two waits; 0 = no limit */
    _Atomic double burst_end;   /* when the present burst is over; 0 = no Lua runs, or no limit */
    bool interruptible;         /* a count hook is always set */
    const void *thrown_by_hook; /* the error on its way was thrown where hooks do not work until it
                            is caught */
    int exit_code;              /* os.exit's, with REASON_EXIT */
    _Atomic(struct lua_State *) running; /* the coroutine that runs Lua right now */
    _Atomic(pthread_t) thread;           /* that drives the loop */

    /* ---- for the host ---- */
    void (*show)(void *user, const char *text, size_t size); /* draws a progress bar; or NULL */
    void *show_user;
};

/* Makes a loop that loop_free may be given. */
void loop_clear(loop *lp);

/* m NULL: the loop gets an account of its own over the C library's allocator. False: no file
 * descriptors are left. */
bool loop_init(loop *lp, memory *m);
void loop_free(loop *lp);

/* ---- the pump ---- */

/* Moves transfers and timers on. When no operation became ready by that, waits for at most `seconds`
 * (negative: no limit; less when a timer or a limit is due), and tries again. Returns whether an
 * operation became ready. Resumes no task. */
bool loop_pump(loop *lp, double seconds);

/* What loop_pump would wait for, for the poll of a host: fills in at most `count` descriptors, and
 * sets *milliseconds to the longest wait. Returns how many it has filled in. */
int loop_fds(loop *lp, struct pollfd *fds, int count, int *milliseconds);

/* Ends the wait that is under way, or the next one. Any thread, and signal handlers. */
void loop_wake(loop *lp);

/* ---- ready tasks and operations ---- */

/* Puts a task at the end of the ready queue, unless it is in it. */
void loop_make_ready(loop *lp, task *t);

/* Takes the first task from the ready queue; NULL: it is empty. */
task *loop_take_ready(loop *lp);

/* What the operation waited for has happened: the task that waits for it becomes ready. */
void loop_op_ready(op *o);

/* The operation waits for an answer from outside the loop: who gives it calls loop_wake; then the
 * loop calls is_answered, and makes the operation ready when that returns true. */
void loop_wait_external(op *o, bool (*is_answered)(const op *o));

/* The operation no longer waits for that. Idempotent. */
void loop_forget_external(op *o);

/* Whether every task waits for another one, and nothing else is under way: a deadlock. */
bool loop_is_stuck(const loop *lp);

/* In a deadlock: the operation of the newest task becomes ready, as stuck. */
void loop_break_deadlock(loop *lp);

/* ---- requests to stop ---- */

/* Asks the present run to stop: once = cancel, twice = kill. Any thread, and signal handlers. */
void loop_cancel(loop *lp);

/* A new run begins: nothing is asked of it yet; and it has ended. */
void loop_begin(loop *lp);
void loop_end(loop *lp);

/* The run has a time limit; it has none, or was in time. */
void loop_set_deadline(loop *lp, double deadline);
void loop_clear_deadline(loop *lp);

/* Seconds since a kill of the run under way became due, negative until then; -HUGE_VAL: none is. Any
 * thread. */
double loop_overdue(const loop *lp);

/* Marks a task, and all that it has started, as detached. */
void loop_detach_task(task *t);

/* Marks a task as cancelled: it goes on at once, to find its present or next operation throwing. */
void loop_cancel_task(loop *lp, task *t);

/* Takes note of loop_cancel and of limits that have run out; called wherever Lua is about to go on.
 */
void loop_check(loop *lp);

/* From now on nothing runs but unwinding. The first reason stays. */
void loop_kill(loop *lp, loop_reason reason);

#endif
