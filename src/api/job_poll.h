/* api/job_poll.h - waits for a job of the server: polls GET /jobs/{id}, at first after a few
 * milliseconds (or `usual`), then less and less often, at least every half second, until the job has
 * ended, the server has forgotten it, or the caller's deadline has passed.
 *
 * A server that does not answer (it restarts, and then runs the job again) is polled for as long as
 * the client's timeout.
 */
#ifndef API_JOB_POLL_H
#define API_JOB_POLL_H

#include <lua.h>

#include "request/call.h"

/* A job that a call waits for, inside the struct of the operation; c->poll points to it. */
typedef struct job_poll {
    char job[ORTHANC_ID_SIZE]; /* its identifier; "" until the server has given one */
    double begun;              /* when the wait began, on clock_now's clock */
    double usual;              /* seconds from then to the first poll, at most 0.5; 0 = a few ms */
    double heard;              /* when the server last answered a poll */
    double asked;              /* when the last poll began */
    double unfinished; /* seconds from `begun` to the last poll that has found the job unfinished */
    call_step on_success; /* the job has succeeded. Stack: its record, its result */
    call_step on_gone;    /* the server has forgotten the job. Stack: nil, error */
    call_step on_failure; /* the job has failed. Stack: nil, error. NULL = they are the results */
    call_step on_open; /* the wait has ended without the job's outcome. Stack and NULL: the same */
} job_poll;

/* For steps: waits for the job, which the server has had for `age` seconds. */
int job_poll_begin(lua_State *L, call *c, double age);

/* Makes the error on the top one of the operation (and not of a poll), with its job. [-0, +0, m] */
void job_poll_set_job(lua_State *L, const call *c);

/* Adds data.hint, which may explain the error on the top, to its message. [-0, +0, m] */
void job_poll_add_hint(lua_State *L, const call *c);

/* For steps: ends a C-MOVE that failed by a status that may be about its destination; nil and the error
 * are on the top. The Lua half (move_failure.lua) adds what this server knows about the AE title. */
int job_poll_explain_move(lua_State *L, call *c);

/* Checks the result on the top, at index `result`, of a job or request that the server calls a
 * success. Returns true, and pushes nil and an error, when it is no table or says that a part
 * failed. [-0, +(0|2), m] */
bool job_poll_is_incomplete(lua_State *L, const call *c, int result);

#endif
