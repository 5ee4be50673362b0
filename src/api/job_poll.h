/* api/job_poll.h - waiting for a job of the server: GET /jobs/{id}, fast at first and at most half a
 * second apart, until it has ended, is forgotten, or the caller's deadline is over.
 *
 * A server that does not answer for a while (a restart, after which it runs the job again) is
 * waited for as long as the client's timeout allows.
 */
#ifndef API_JOB_POLL_H
#define API_JOB_POLL_H

#include <lua.h>

#include "api/modality.h"

typedef struct job_poll job_poll;

struct job_poll {
    modality_call base;
    char job[ORTHANC_ID_SIZE]; /* "" until the server has named it */
    double begun, heard; /* when the waiting began, and when the server last spoke of the job */
    call_step succeeded; /* the job's record is on the top */
    call_step forgotten; /* nil and the error (code job_gone) are on the top */
};

/* For steps: waits for the job, which has been known for `age` seconds. */
int job_poll_begin(lua_State *L, job_poll *w, double age);

/* Adds to the error on the top which job it is about. [-0, +0, m] */
void job_poll_set_job(lua_State *L, const job_poll *w);

/* Whether the result on the top, at index, is that of a transfer to a peer; what it says of the
 * peer loses its passwords and tokens. [-0, +0, m] */
bool job_poll_is_of_peer(lua_State *L, int result);

/* Whether the result on the top, at index, of what the server calls a success, is none, or says of
 * a part that it failed; nil and an error are pushed then. [-0, +(0|2), m] */
bool job_poll_is_partial(lua_State *L, const job_poll *w, int result);

/* Adds to the message of the error on the top what data.hint knows of its reason. [-0, +0, m] */
void job_poll_add_hint(lua_State *L, const call *c);

#endif
