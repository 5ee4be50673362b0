/* api/job.h - a job of the server, seen from Lua. */
#ifndef API_JOB_H
#define API_JOB_H

#include <lua.h>

#include "engine/loop.h"

/* Pushes a Job of the client at index, from what names it at `id`: its identifier, or a table with
 * it in ID, as operations with Synchronous = false give it. No I/O. Throws when it cannot be one.
 * [-0, +1, v] */
int job_push(lua_State *L, int client, int id);

/* Makes Job known to the state. [-0, +0, m] */
void job_open(lua_State *L, loop *lp);

#endif
