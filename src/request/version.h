/* request/version.h - the server's version. A client asks for it once (GET /system).
 *
 * An operation states what it needs before it runs; call.c checks that before the first step, so a
 * step that runs can rely on it. */
#ifndef REQUEST_VERSION_H
#define REQUEST_VERSION_H

#include "request/call.h"

/* The operation reads version_of in a step. */
void version_need(call *c);

/* The operation needs that version or a later one. `what` (static) came with it, for the error. */
void version_need_since(call *c, int since, const char *what);

/* The operation sends this key, the newest that was given; NULL = every version knows all of them. */
void version_need_key(call *c, const orthanc_key *key);

/* The server's version, as orthanc/routes.h writes it. Only for operations that have stated a need,
 * in steps, or after version_ask. */
int version_of(const call *c);

/* For steps: finds out the version, and goes on with `next`. */
int version_ask(lua_State *L, call *c, call_step next);

/* For call.c: goes on with `next` when the server has what the operation needs; else pushes nil and
 * an error of code "unsupported". */
int version_check(lua_State *L, call *c, call_step next);

#endif
