/* engine/loop.h - the loop of one runtime: it moves HTTP transfers and timers on, and marks the
 * operations ready whose wait is over.
 *
 * Three structs work together. The loop is this one. An operation (op.h) is one call of a script
 * that waits. A task (task.h) is a coroutine; while it waits, it has yielded in an operation.
 * loop_pump marks operations ready and puts their tasks into the ready queue; it resumes no task:
 * task_turn does.
 *
 * Knows no Lua API: lua_State is only named.
 */
#ifndef ENGINE_LOOP_H
#define ENGINE_LOOP_H

#include <lua.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/memory.h"
#include "base/wakeup.h"
#include "http/http.h"

typedef struct loop loop;
typedef struct op op;
typedef struct task task;
typedef struct slots slots;

/* What the run under way has been asked. */
typedef enum loop_stop {
    LOOP_GO,     /* nothing */
    LOOP_CANCEL, /* the error "cancelled" is thrown once into each task, which may catch it */
    LOOP_KILL /* only <close> handlers run, for a short time: the kill is thrown again and again */
} loop_stop;

/* Why it has been asked that. */
typedef enum loop_reason {
    REASON_NONE,
    REASON_CANCELLED,
    REASON_RUN_TIME, /* the deadline of the run */
    REASON_LUA_TIME, /* the limit of Lua between two waits */
    REASON_EXIT      /* os.exit */
} loop_reason;

struct loop {
    memory *memory;
    memory own_memory; /* `memory` points here in a state that modalua does not own */
    host_thread host;  /* the thread that drives the loop: its locale, its signal mask */
    http http;
    bool owned;     /* modalua made the lua_State: limits, hooks and base frames apply */
    bool sandboxed; /* scripts have no files, and reach only the servers of the host
                       (embed/sandbox.h) */

    /* ---- tasks (task.c) ---- */
    task *current;            /* the one that runs; NULL outside any */
    task *ready, *ready_tail; /* the queue of those that task_turn resumes */
    task *tasks;              /* all that are not done */
    unsigned live;            /* how many those are */
    /* every coroutine outside the running one, up to that of the task, can be suspended (stop_enter) */
    bool passes;
    /* a function of modalua.h works in the state, without a run: the first cancel kills */
    bool apart;
    bool stepped; /* the host drives the run step by step: an operation must not block */

    /* ---- operations ---- */
    struct loop_timers { /* timer.c */
        op **heap;
        size_t count, room;
    } timers;
    struct loop_descriptors { /* descriptor.c */
        struct pollfd *list;  /* the first one is of the wakeup pipe */
        op **ops;             /* whose descriptor is at the same place of the list */
        size_t count, room;   /* without the first one */
    } descriptors;
    op *external; /* those that wait for an answer from outside the loop */
    op *cleanups; /* detached cleanup requests (cleanup.c) */
    slots *slots; /* of all modalities and peers in use (slots.c) */

    /* ---- waking it from other threads and signal handlers ---- */
    wakeup wakeup;
    atomic_bool woken; /* loop_wake was called since the last look */

    /* ---- the run, and requests to stop it (loop.c) ---- */
    atomic_uint cancels; /* calls of loop_cancel in this run */
    atomic_uint sticky;  /* calls of loop_cancel_sticky since the end of the last run */
    /* loop_request_task_cancels was called since the last look */
    atomic_bool task_cancels_requested;
    void (*on_task_cancels)(loop *lp); /* then this is called; NULL = nothing */
    _Atomic double due;  /* when a kill is due, or was due, on clock_now's clock; 0 = none is due;
                            negative = no run is under way */
    _Atomic double away; /* since when a function of the host works, on the same clock; 0 = none
                            does */
    loop_stop stop;
    loop_reason reason;
    double deadline;       /* on clock_now's clock; 0 = none */
    double grace;          /* seconds from a cancel to the kill that follows */
    double kill_grace_end; /* until then <close> handlers may run after a kill; 0 = the kill has not
                              been thrown yet */
    char kill_place[LUA_IDSIZE + 16]; /* where the script was when the kill was thrown, such as
                              "script.lua:12"; "" = not known */
    int exit_code;                    /* of os.exit, with REASON_EXIT */

    /* ---- the time that Lua takes, and the count hook (stop.c) ---- */
    double burst;               /* seconds that Lua may run between two waits; 0 = no limit */
    _Atomic double burst_end;   /* when these are over; 0 = Lua does not run, or has no limit */
    bool interruptible;         /* the count hook is always set */
    double looked;              /* when the count hook last read clock_coarse (engine/stop.c) */
    unsigned quick;             /* calls of the hook in a row that found no slow instruction */
    const void *thrown_by_hook; /* the error that the hook threw last, until it is caught. Hooks are
                                     off meanwhile: no message handler of a script may run */
    _Atomic(lua_State *) running; /* the coroutine that runs Lua; NULL = none */
    _Atomic(pthread_t) thread;    /* the thread that drives the loop */

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

/* Moves transfers and timers on. When no operation became ready by that, waits for at most
 * `seconds` (negative: no limit; less when a timer or a limit is due), and tries again. Returns
 * whether an operation became ready. Resumes no task. */
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

/* ---- the run, and requests to stop it ---- */

/* Starts a run: forgets the requests to stop the last one. */
void loop_begin(loop *lp);

/* Ends it. */
void loop_end(loop *lp);

/* Asks the run to stop: the first call cancels, the second one kills. Any thread, and signal
 * handlers. */
void loop_cancel(loop *lp);

/* The same; without a run it asks the next one. */
void loop_cancel_sticky(loop *lp);

/* A run has ended, which the calls of loop_cancel_sticky were for. */
void loop_forget_sticky(loop *lp);

/* How often the run has been asked to stop. Any thread. */
unsigned loop_cancels(const loop *lp);

/* Gives the run a time limit, on clock_now's clock; removes it. */
void loop_set_deadline(loop *lp, double deadline);
void loop_clear_deadline(loop *lp);

/* Acts on loop_cancel and on limits that are over. Called before Lua goes on. */
void loop_check(loop *lp);

/* The same, for a caller that has read the clock. */
void loop_check_at(loop *lp, double now);

/* Kills the run. The reason of the first kill stays. */
void loop_kill(loop *lp, loop_reason reason);

/* Seconds since a kill of the run was due, without those that functions of the host took; negative: so
 * many seconds before; -HUGE_VAL: none is due. Any thread. */
double loop_overdue(const loop *lp);

/* A function of the host works between these two calls, with its own locale and signal mask: its time
 * does not count for loop_overdue. */
void loop_enter_host(loop *lp);
void loop_leave_host(loop *lp);

/* Cancels a task and, when its function has ended, its children. It goes on at once; the operation
 * in which it waits, or its next one, throws. */
void loop_cancel_task(loop *lp, task *t);

/* Cancels a task and all tasks below it for the host, as loop_cancel cancels a run: Lua that computes
 * gets the error too, and they are killed after the grace of a cancel. */
void loop_cancel_scope(loop *lp, task *t);

/* Asks for a call of lp->on_task_cancels on the thread that drives the loop. Any thread. */
void loop_request_task_cancels(loop *lp);

/* Whether the run, or the task that runs, is being killed. */
bool loop_kills(const loop *lp);

/* Marks a task and all tasks below it as detached: when they are cancelled, what they began on the
 * server goes on. */
void loop_detach_task(task *t);

#endif
