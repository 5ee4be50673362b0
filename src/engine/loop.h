/* engine/loop.h - the loop of one runtime: its transfers, timers, ready tasks and requests to stop. Knows
 * no Lua API: lua_State is only named.
 *
 * A task is a coroutine (task.c). An operation (op.c) waits for one transfer or one moment at a
 * time; the loop marks it ready and puts the task that is parked on it into the ready queue.
 * loop_pump resumes nobody.
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
#include "http/retry.h"

struct lua_State;
typedef struct loop loop;
typedef struct op op;
typedef struct task task;
typedef struct slots slots;

/* Starts the next request or timer and returns OP_WAIT, or pushes results and returns their number,
 * or pushes a function and arguments, whose results are the operation's, and returns OP_CALL (right
 * above the op's userdata there is nothing else then). May throw. */
typedef int (*op_advance_fn)(struct lua_State *L, op *o);

/* The operation is cancelled or killed, and about to be released: what it began on the server is to
 * be stopped there, unless its task is detached. May make a farewell of it. */
typedef void (*op_stopped_fn)(struct lua_State *L, op *o, bool detached);

/* Runs the tasks, for an operation that waits for one outside any task (task.c). */
typedef void (*op_turn_fn)(struct lua_State *L, loop *lp, double seconds);

enum { OP_WAIT = -1, OP_CALL = -2 };

/* One call of a script that takes several advances. Embedded at the start of a userdata (op.c). */
struct op {
    loop *lp;
    op_advance_fn advance;
    op_turn_fn turn;  /* of one that waits for a task; NULL: it waits for the network or a moment */
    const char *name; /* what the script called, for errors */
    int index;        /* of its userdata on the caller's stack */
    int stage;        /* advance's own */
    op_stopped_fn stopped; /* or NULL */
    bool ready;            /* what it waited for has happened */
    bool committed;        /* a cancel leaves its request: the answer names what has to be undone */
    bool stuck;            /* what it waits for can never happen: a deadlock */
    task *parked;          /* resumed when ready; NULL while somebody drives */
    task *target;          /* the task it waits for, or NULL */
    op *next_joiner;       /* of the same target */
    double due;            /* seconds on clock_now's clock */
    size_t timer;          /* place in the heap, from 1; 0 = no timer */
    slots *slots;          /* that it waits for or has a place in, or NULL (engine/slots.h) */
    bool has_slot;         /* it has one */
    retry retry;           /* of the present exchange; the timer may be its pause */
    double tick;           /* seconds after which an advance looks at an exchange that is still
                              under way; 0 = it does not */
    unsigned slot_limit;   /* how many there are, as it sees it */
    op *next_waiting;      /* that waits behind it */
    void (*released)(op *o); /* it lets go of everything; or NULL */
    int farewell; /* registry reference while nobody waits for it; 0 = an ordinary operation */
    bool (*farewell_goes_on)(op *o); /* starts one more request; or NULL */
    op *next_farewell;
    bool (*answered)(const op *o); /* whether what it waits for outside the loop is there; NULL: it
                                      waits for nothing there */
    op *next_outside;
    http_transfer transfer;
};

typedef enum task_state { TASK_LIVE, TASK_CLOSING, TASK_DONE } task_state;

/* A coroutine that the loop resumes (task.c). Closing: its function has ended, its children have
 * not. */
struct task {
    loop *lp;
    struct lua_State *co;
    task_state state;
    bool started, queued, cancelled, failed, joined;
    bool cancel_thrown; /* the cancel has been thrown into it */
    bool detached;      /* what it has begun on the server is left alone when it is cancelled */
    int ref;            /* registry reference that keeps it until it is done */
    int results;        /* values on its stack, once it is done */
    op *waits;          /* the operation it is parked on */
    op *joiners;        /* operations that wait for it */
    task *next_ready;
    task *next, *prev;                /* all live tasks */
    task *parent;                     /* its scope; NULL outside any task */
    task *children, *sibling, *elder; /* not done, or failed and not joined */
    unsigned live_children;
};

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
    memory own_memory; /* what `memory` points at in a state that is not ours */
    http http;
    bool owned; /* the lua_State is ours: limits, hooks and base frames apply */
    bool
        sandboxed; /* its scripts have no files, and only the servers of the host (embed/sandbox.h) */
    /* tasks (task.c) */
    task *current; /* the one that runs; NULL outside any */
    task *ready, *ready_tail;
    task *tasks;   /* all that are not done */
    unsigned live; /* how many those are */
    /* timers: a binary heap of operations, the earliest first, from index 1 */
    op **timers;
    size_t timer_count, timer_room;
    /* requests to stop */
    wakeup wakeup;       /* written by loop_wake, read by waits */
    atomic_bool woken;   /* there is something in it */
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
    void (*show)(void *user, const char *text, size_t size); /* a bar, for the host; or NULL */
    void *show_user;
    /* requests that nobody waits for (op.c) */
    op *farewells;
    op *outside;       /* those that wait for an answer from outside the loop */
    slots *slots_list; /* of all modalities in use (engine/slots.c) */
};

/* A loop that loop_free may be given. */
void loop_clear(loop *lp);

/* Opens the wake pipe. False: no descriptors left. m NULL: an account of its own over the C
 * library's allocator. */
bool loop_init(loop *lp, memory *m);
void loop_free(loop *lp);

/* Puts a task at the end of the ready queue, or takes it out. */
void loop_make_ready(loop *lp, task *t);
task *loop_take_ready(loop *lp);

/* The operation becomes ready at `due`. False: out of memory. */
bool loop_set_timer(loop *lp, op *o, double due);
void loop_clear_timer(op *o);

/* What the operation waited for has happened: its task, if one is parked on it, becomes ready. */
void loop_op_ready(op *o);

/* The operation becomes ready when `answered` says so, which is asked after each loop_wake; or it
 * no longer waits for that. */
void loop_wait_outside(loop *lp, op *o, bool (*answered)(const op *o));
void loop_leave_outside(op *o);

/* Ends the wait that is under way, or the next one. Any thread, and signal handlers. */
void loop_wake(loop *lp);

/* Moves transfers and timers on; when nothing came of it, waits for at most `seconds` (less if a
 * timer or a limit is due) and tries again. Resumes nobody. Returns true when some operation became
 * ready. */
bool loop_pump(loop *lp, double seconds);

/* What loop_pump would wait for, for somebody else's poll: fills in at most `count` descriptors, and
 * sets *milliseconds to the longest wait. Returns how many it has filled in. */
int loop_fds(loop *lp, struct pollfd *fds, int count, int *milliseconds);

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

/* Whether every task waits for another one, and nothing else is under way: nothing can ever happen.
 */
bool loop_is_stuck(const loop *lp);

/* Then the newest one's operation becomes ready, as stuck. */
void loop_break_deadlock(loop *lp);

/* Takes note of loop_cancel and of limits that have run out; called wherever Lua is about to go on.
 */
void loop_check(loop *lp);

/* From now on nothing runs but unwinding. The first reason stays. */
void loop_kill(loop *lp, loop_reason reason);

#endif
