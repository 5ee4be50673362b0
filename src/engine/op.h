/* engine/op.h - the operation: one call of a script that waits for something.
 *
 * A binding makes an op with op_new, fills it in, and returns op_run(L, o). op_run calls the op's
 * `advance` until the operation ends; each call starts one wait. While it waits, the op yields when
 * it runs on the coroutine of its task and that can yield. It also yields in a coroutine of the
 * script: coroutine.resume and wrap (embed/coroutines.c) then yield too, and so on up to the task.
 *
 * Inside a C function that cannot be suspended (a callback of string.gsub) the op throws when the
 * host drives the run step by step. Otherwise it drives the loop in place: op_run itself calls
 * loop_pump until the op is ready. op_run does not recurse: an operation that polls 100,000 times
 * uses as much of the C stack as one that polls once.
 */
#ifndef ENGINE_OP_H
#define ENGINE_OP_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#include "engine/loop.h"
#include "http/http.h"
#include "http/retry.h"

/* The operation of a cleanup request. */
#define OP_CLEANUP "cleanup"

enum { OP_WAIT = -1, OP_CALL = -2, OP_REPORT = -3, OP_LAST_REPORT = -4 };

/* Does one of three things. It starts the next wait (op_request, op_sleep, op_watch, op_join,
 * slots_acquire, loop_wait_external) and returns OP_WAIT. Or it pushes the results of the operation and returns
 * their number. Or it pushes a function and its arguments and returns OP_CALL: the results of that
 * call become the operation's, and nothing else may be on the stack above the op's userdata.
 *
 * A callback of the script may wait for other operations; an error of it ends this one as a cancel
 * does. It is called with one argument, and both are pushed: above the rest, for OP_REPORT, which is
 * OP_WAIT otherwise; above the results, with their number in o->results, for OP_LAST_REPORT. May
 * throw. */
typedef int (*op_advance_fn)(lua_State *L, op *o);

/* Runs the ready tasks once, after waiting for at most `seconds` (task_turn). */
typedef void (*op_turn_fn)(lua_State *L, loop *lp, double seconds);

/* The operation has been cancelled or killed, or throws, and is about to be released. Stops what it began on
 * the server, unless its task is detached; for that it may turn the op into a cleanup request
 * (cleanup.h). */
typedef void (*op_stop_fn)(lua_State *L, op *o, bool detached);

/* A userdata starts with this struct. What one mechanism needs stands in a struct of its own, with
 * the file that manages it. */
struct op {
    loop *lp;         /* NULL once the op is released */
    const char *name; /* the function that the script called, for error messages */
    int index;        /* of the userdata on the caller's stack */
    int stage;        /* for advance's own use */
    int results;      /* with OP_LAST_REPORT */
    op_advance_fn advance;
    op_turn_fn turn;    /* set when it waits for a task; else NULL */
    op_stop_fn on_stop; /* or NULL */
    bool is_transfer;   /* on_stop stops a transfer, which goes on when the task is detached */
    void (*on_release)(op *o); /* frees what the binding added to the op; or NULL */

    bool ready;   /* what it waited for has happened */
    bool stuck;   /* what it waits for can never happen: every task waits for another one */
    task *waiter; /* the task that yielded, and is resumed when the op is ready; NULL while the op
                     drives the loop in place */

    /* ---- its HTTP request (op.c, http/) ---- */
    http_transfer transfer;
    retry retry;              /* while retry.pausing, the timer ends the pause */
    double progress_interval; /* seconds after which advance is called although the request has not
                                 ended; 0 = it is not */
    bool wants_secrets;       /* its answer is not for the script, and keeps the passwords in it */
    bool keeps_request;       /* a cancel does not abort the request: only the answer says which job
                                 has to be stopped on the server */

    /* ---- its timer (timer.c) ---- */
    struct op_timer {
        double due;   /* seconds on clock_now's clock */
        size_t place; /* in the loop's heap, from 1; 0 = no timer is set */
    } timer;

    /* ---- a descriptor that it waits for (descriptor.c) ---- */
    size_t descriptor; /* its place in the loop's list, from 1; 0 = none */

    /* ---- the task that it waits for (op.c, task.c) ---- */
    struct op_join {
        task *target; /* NULL: none */
        op *next;     /* in target->joiners */
    } join;

    /* ---- its concurrency slot (slots.c) ---- */
    struct op_slot {
        slots *of;      /* whose slot it holds or waits for; NULL: neither */
        bool held;      /* it holds one */
        unsigned limit; /* how many operations may hold one at the same time, as it sees it */
        op *next;       /* the one that waits behind it */
    } slot;

    /* ---- an answer from outside the loop, such as the host's reply (loop.c) ---- */
    struct op_external {
        bool (*is_answered)(const op *o); /* NULL: it waits for none */
        op *next;                         /* in loop->external */
    } external;

    /* ---- its life as a detached cleanup request (cleanup.c) ---- */
    struct op_cleanup {
        int ref; /* registry reference that keeps the op; 0 = it is an ordinary operation */
        bool (*next_request)(op *o); /* starts one more request, or NULL */
        bool (*next_step)(op *o);    /* of a cleanup that is no request, or NULL */
        bool left;                   /* by an earlier run: no run waits for it */
        op *next;                    /* in loop->cleanups */
    } cleanup;
};

/* Pushes a zeroed userdata of `size` bytes that starts with an op, with `values` user values for
 * what it must keep alive. What the op acquires is released when it ends, or when it is collected.
 * [-0, +1, m] */
op *op_new(lua_State *L, loop *lp, size_t size, int values, op_advance_fn advance,
           const char *name);

/* Runs the op, whose userdata is on the top, to its end: `return op_run(L, o);`. Throws the error
 * "cancelled", and kills, at this call. */
int op_run(lua_State *L, op *o);

/* Releases everything that the op holds. Idempotent. */
void op_release(op *o);

/* Releases the op's previous request and sends the next one. False: not enough memory. */
bool op_send(op *o, http_server *s, const http_request *r);

/* ---- for advance ---- */

/* Waits for a request, which replaces the previous one. The op's user values must keep its strings
 * alive. */
int op_request(lua_State *L, op *o, http_server *s, const http_request *r);

/* Waits for `seconds`. */
int op_sleep(lua_State *L, op *o, double seconds);

/* Waits until the descriptor is ready for one of the events of poll(2), or has failed, or until `due`, a time
 * on clock_now's clock. The descriptor must stay open until the op is ready, or is stopped. */
int op_watch(lua_State *L, op *o, int fd, short events, double due);

/* Waits until the task is done. It must not be done yet. */
int op_join(op *o, task *target);

/* Whether its request has not ended: then progress_interval was the reason for this call. */
bool op_request_is_running(const op *o);

/* Goes on waiting for the request that has not ended. */
int op_keep_waiting(lua_State *L, op *o);

/* Throws the error on the top. First the op is stopped (on_stop) and released, as when it is cancelled.
 * [-1, +0, v] */
_Noreturn void op_throw(lua_State *L, op *o);

/* Whether an operation on L yields; if not, it throws or drives the loop in place. [-0, +0, -] */
bool op_can_yield(lua_State *L, const loop *lp);

#endif
