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

typedef struct watch watch;

struct watch {
    modality_call base;
    char job[ORTHANC_ID_SIZE]; /* "" until the server has named it */
    double begun, heard; /* when the waiting began, and when the server last spoke of the job */
    call_step succeeded; /* the job's record is on the top */
    call_step forgotten; /* nil and the error (code job_gone) are on the top */
};

/* For steps: waits for the job, which has been known for `age` seconds. */
int lwatch_begin(lua_State *L, watch *w, double age);

/* Adds to the error on the top which job it is about. [-0, +0, m] */
void lwatch_set_job(lua_State *L, const watch *w);

/* Whether the result on the top, at index, is that of a transfer to a peer; what it says of the
 * peer loses its passwords and tokens. [-0, +0, m] */
bool lwatch_is_of_peer(lua_State *L, int result);

/* Whether the result on the top, at index, of what the server calls a success, is none, or says of
 * a part that it failed; nil and an error are pushed then. [-0, +(0|2), m] */
bool lwatch_is_partial(lua_State *L, const watch *w, int result);

/* Adds to the message of the error on the top what data.hint knows of its reason. [-0, +0, m] */
void lwatch_add_hint(lua_State *L, const call *c);

#endif
