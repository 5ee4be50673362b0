/* request/call.h - an operation of several requests, written as one step per answer.
 *
 * A step looks at the answer to the request before it and starts the next one, or pushes results
 * and returns their number (or OP_CALL; op.h). Each step finds the stack as the operation's call
 * left it, the call's userdata on the top, so that any number of steps uses the stack of one. What
 * has to last is in the struct, or in the call's table of data.
 */
#ifndef REQUEST_CALL_H
#define REQUEST_CALL_H

#include <lua.h>
#include <stdbool.h>

#include "binding/options.h"
#include "engine/op.h"
#include "orthanc/routes.h"
#include "request/client_record.h"
#include "request/progress.h"

typedef struct call call;
typedef int (*call_step)(lua_State *L, call *c);

struct call {
    op base;
    client *client;
    call_step step;  /* takes the next answer */
    call_step after; /* where a shared step goes on */
    double deadline; /* the caller's, on clock_now's clock; 0 = none */
    http_request request;
    progress progress;
    const char *route;  /* the request that its errors are about, in data.path; NULL = the last */
    const char *method; /* its; POST unless something else is set */
};

/* What a request is, for its time limit and its connection. */
typedef enum call_work {
    CALL_LOCAL,  /* Orthanc answers by itself: the client's timeout */
    CALL_CHANGE, /* the same, and never sent twice */
    CALL_ECHO,   /* a remote modality is asked, and may be asked twice: no limit but the deadline */
    CALL_REMOTE  /* a remote modality works: no limit but the deadline; never sent twice */
} call_work;

/* Pushes a call of `size` bytes that begins with a struct call, its table of data empty; the
 * client's userdata is at index `client`. `return op_run(L, &c->base);` starts it with `first`.
 * [-0, +1, m] */
call *call_new(lua_State *L, loop *lp, size_t size, int client, const char *name, call_step first);

/* Sets the call's deadline, `seconds` from now; 0 = none. */
void call_set_deadline(call *c, double seconds);

/* The option `progress` of the table at index `options` (nil = none) is who the call at index
 * `call` tells how far it is, by call_report and at its end. Throws when it cannot be. [-0, +0, v]
 */
void call_set_progress(lua_State *L, int options, int call);

/* Rows of options that many operations have. wait_timeout goes into a double. */
/* clang-format off */
#define CALL_TIMEOUT_ROW(offset) { "wait_timeout", OPTION_SECONDS, (offset), \
    "how long the call waits (default: no limit); what the server has begun goes on after that" }
#define CALL_PROGRESS_ROW { "progress", OPTION_VALUE, 0, \
    "true: shows a bar on a terminal; or a function, which is called with the table that modalua.bar takes" }
/* clang-format on */

extern const option call_timeout_rows[]; /* wait_timeout, at offset 0 */
extern const option call_wait_rows[];    /* and progress */

/* Reads the options at index `options`, by rows that begin with those two, for the call on the top:
 * how long it may take, and whom it tells how far it is. [-0, +0, v] */
void call_read_wait(lua_State *L, int options, call *c, const option *rows);

/* What every call lets go of, for one that has an op->released of its own. */
void call_released(op *o);

/* For steps: tells c->progress, when it is time for it. [-0, +0, v] */
void call_report(lua_State *L, call *c);

/* Pushes the call's table of data. [-0, +1, -] */
void call_push_data(lua_State *L, const call *c);

/* Before the call at index `call` is run: sets data[name] to the value at index. [-0, +0, m] */
void call_keep(lua_State *L, int call, const char *name, int index);

/* The same of data.path, which is on the top and popped: its errors are about that route.
 * [-1, +0, m] */
void call_keep_route(lua_State *L, int call);

/* For steps: sends a request, and `next` takes its answer. POST and PUT send the table on the top
 * as JSON; when that cannot be, the outcome is nil and an error of kind "refused". The path is
 * formatted as lua_pushfstring does: `return call_get(L, c, next, "/jobs/%s", id);` */
int call_request(lua_State *L, call *c, call_step next, const char *method, call_work work,
                 const char *format, ...);

#define call_get(L, c, next, ...)        call_request(L, c, next, "GET", CALL_LOCAL, __VA_ARGS__)
#define call_post(L, c, next, work, ...) call_request(L, c, next, "POST", work, __VA_ARGS__)

/* The same of a request whose body, source or sink are set in c->request; the path is on the top,
 * and taken. */
int call_start(lua_State *L, call *c, call_step next, const char *method, call_work work);

/* Seconds until something is to be asked again that has been waited for since `begun` (clock_now):
 * an eighth of that time, which is the most that is lost by asking too late, between `least` and
 * `most`. 0: the deadline is over. */
double call_gap(const call *c, double begun, double least, double most);

/* The answer: pushes its value and returns 1, or nil and an error object and returns 2; an error
 * by which the caller's deadline ran out has still_running when the server may go on. Throws as
 * response_push does. A step by itself, for the last answer. [-0, +(1|2), v] */
int call_answer(lua_State *L, call *c);

/* Whether the failure of the last request, whose error is on the top, may pass by itself: a read
 * from a server that was last heard of, at `heard` (clock_now), less than the client's timeout ago.
 * [-0, +0, m] */
bool call_may_pass(lua_State *L, const call *c, double heard);

/* Makes the error on the top one of the call. [-0, +0, m] */
void call_set_origin(lua_State *L, const call *c);

/* Pushes nil and an error of the call; returns 2. */
int call_fail(lua_State *L, const call *c, const char *kind, const char *code, const char *format,
              ...);

/* The same of what came with a version that the server, whose own is known, does not have yet. */
int call_unsupported(lua_State *L, const call *c, const char *what, int since);

/* Whether the server's version, which is known, lacks this key (NULL = none): nil and an error are
 * pushed then. [-0, +(0|2), m] */
bool call_lacks_key(lua_State *L, const call *c, const orthanc_key *key);

/* Goes on with `next` once the client knows its server's version. */
int call_need_version(lua_State *L, call *c, call_step next);

#endif
