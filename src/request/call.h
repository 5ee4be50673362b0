/* request/call.h - an operation of several requests: each step takes the answer to a request and
 * sends the next request.
 *
 * A step returns OP_WAIT (by `return call_get(…);` and the like), or the number of results that it
 * has pushed, or OP_CALL (engine/op.h). Each step finds the stack as the operation left it, with the
 * call's userdata on the top, so that the stack does not grow with the number of steps. What a
 * later step needs is in the struct, or in the call's data: a table of Lua values.
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
#include "request/shape.h"

struct job_poll; /* api/job_poll.h */

typedef struct remote remote; /* api/remote.h */
typedef struct call call;
typedef int (*call_step)(lua_State *L, call *c);

/* What an operation needs of the server's version: checked before its first step (request/version.h).
 * All zero: nothing. */
typedef struct call_needs {
    bool version;     /* a step uses it, but any will do */
    int since;        /* it must be this one or a later one; 0 = any */
    const char *what; /* what needs that version, for the error */
    bool not_sure; /* it may stay unknown, as something has been done and its outcome comes first */
    const orthanc_key *key; /* the newest key that is sent; NULL = all versions know the keys */
} call_needs;

struct call {
    op op;
    client *client;
    remote *remote;        /* the modality or peer that the operation is about; or NULL */
    struct job_poll *poll; /* the job that the operation waits for; or NULL */
    call_step step;        /* takes the next answer */
    call_step after;       /* the step behind a shared step */
    bool started;          /* `needs` have been checked */
    call_needs needs;
    int version;     /* the server's; 0 = not known */
    double deadline; /* the caller's, on clock_now's clock; 0 = none */
    http_request request;
    char query[ORTHANC_ID_SIZE]; /* the query that the call has made on the server; "" = none */
    char query_path[ORTHANC_ID_SIZE + 16];
    progress progress;
    bool reports; /* a report is due, and is made when the step has started the next wait */
    /* Path and method of the request that errors name; route NULL = that of the last request. */
    const char *route, *method;
};

/* What kind of work a request is: decides its time limit and whether it may be sent twice. */
typedef enum call_work {
    CALL_LOCAL,  /* Orthanc answers by itself: limited by the client's timeout */
    CALL_CHANGE, /* the same, but never sent twice */
    CALL_ECHO,   /* a remote is asked: limited by the deadline alone */
    CALL_REMOTE  /* a remote works: limited by the deadline alone, and never sent twice */
} call_work;

/* Pushes a call of `size` bytes that begins with a struct call, for the client at index `client`.
 * Its data is empty. `return op_run(L, &c->op);` starts it with the step `first`. [-0, +1, m] */
call *call_new(lua_State *L, loop *lp, size_t size, int client, const char *name, call_step first);

/* Reads the option `progress` of the table at index `options` (nil = none) for the call at index
 * `call`. Throws on a wrong value. [-0, +0, v] */
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

/* Reads the table at index `options` by `rows`, which include wait_timeout (at offset 0) and progress,
 * and sets both for the call on the top. [-0, +0, v] */
void call_read_wait(lua_State *L, int options, call *c, const option *rows);

/* The op.on_release of every call. A call with an op.on_release of its own calls it first. */
void call_released(op *o);

/* ---- data ---- */

/* Sets data[name] of the call at index `call` to the value at index. [-0, +0, m] */
void call_keep(lua_State *L, int call, const char *name, int index);

/* Pops the path on the top: it becomes c->route and data.path of the call at index `call`.
 * [-1, +0, m] */
void call_set_route(lua_State *L, int call);

/* For steps: pushes the call's data, or data[name]. [-0, +1, -] */
void call_push_data(lua_State *L, const call *c);
void call_push(lua_State *L, const call *c, const char *name);

/* For steps: pushes the call's client. [-0, +1, -] */
void call_push_client(lua_State *L, const call *c);

/* ---- requests, for steps ---- */

/* Sends a request; `next` takes the answer. POST and PUT send the table on the top as JSON. When
 * that cannot be encoded, the call ends with nil and an error of kind "refused". The path is
 * formatted as by lua_pushfstring: `return call_get(L, c, next, "/jobs/%s", id);` */
int call_request(lua_State *L, call *c, call_step next, const char *method, call_work work,
                 const char *format, ...);

#define call_get(L, c, next, ...)        call_request(L, c, next, "GET", CALL_LOCAL, __VA_ARGS__)
#define call_post(L, c, next, work, ...) call_request(L, c, next, "POST", work, __VA_ARGS__)

/* POST of the table on the top, which makes a query on the server. A cleanup request removes the query
 * when the call then fails, is cancelled, or its deadline passes, also when that happens before the
 * server has named the query. Not when the call ends in OP_CALL. */
int call_post_query(lua_State *L, call *c, call_step next, const char *path);

/* The same with the body, source or sink that c->request has. Pops the path on the top. */
int call_start(lua_State *L, call *c, call_step next, const char *method, call_work work);

/* Reports the progress, with the state of a job (or NULL), when a report is due: while the call waits
 * for what the step starts next. */
void call_report(call *c, const char *state);

/* Delay before the next poll: 1/8 of the time since `begun`, clamped to [least, most] and to the time
 * that is left until the deadline (0 = none). 0 when the deadline has passed. Times are clock_now's. */
double call_poll_delay(double begun, double deadline, double least, double most);

/* ---- outcomes, for steps ---- */

/* Pushes the value of the answer and returns 1, or pushes nil and an error object and returns 2.
 * The error has still_running when the caller's deadline passed and the server may go on. Throws as
 * response_push does. Is itself a step: the last one of many calls. [-0, +(1|2), v] */
int call_answer(lua_State *L, call *c);

/* The same for an answer that has a shape; any other answer is an error (response_push_shape). */
int call_answer_of(lua_State *L, call *c, shape s);

/* Pushes a member of the object at index, which is an answer. False: the member has another shape, and nil
 * and the error are pushed. [-0, +(1|2), m] */
bool call_push_member(lua_State *L, const call *c, int answer, const char *name, shape s);

/* Whether the error on the top is transient: a read failed, and the server has answered at `heard`
 * (clock_now), less than the client's timeout ago. [-0, +0, m] */
bool call_is_transient(lua_State *L, const client *c, double heard);

/* Sets op, method and path of the error on the top. [-0, +0, m] */
void call_set_error_fields(lua_State *L, const call *c);

/* Pushes nil and an error of the call; returns 2. [-0, +2, m] */
int call_fail(lua_State *L, const call *c, const char *kind, const char *code, const char *format,
              ...);

#endif
