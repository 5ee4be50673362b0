/* api/job.h - Job: a job of the server, as scripts see it. */
#ifndef API_JOB_H
#define API_JOB_H

#include <lua.h>

#include "engine/loop.h"

/* Pushes a Job of the client at index `client`. The value at index `id` is its identifier, or a table
 * with the field ID, as operations with Synchronous = false return it. Sends nothing. Throws on another
 * value. [-0, +1, v] */
int job_push(lua_State *L, int client, int id);

/* Registers Job in the state. [-0, +0, m] */
void job_open(lua_State *L, loop *lp);

#endif
