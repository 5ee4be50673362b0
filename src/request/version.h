/* request/version.h - the server's version. A client asks for it once (GET /system).
 *
 * What an operation needs of the version is in its call's `needs`. call.c checks that before the
 * first step, so every step can rely on it. */
#ifndef REQUEST_VERSION_H
#define REQUEST_VERSION_H

#include "request/call.h"

/* The server's version, as orthanc/routes.h writes it. Only in steps of a call that has a need, or
 * after version_ask. */
int version_of(const call *c);

/* For steps: finds out the version, and goes on with `next` when the server has what the call needs.
 * Else pushes nil and an error of code "unsupported". When the version cannot be read, the call ends
 * with that error, or goes on with ORTHANC_UNKNOWN (needs.not_sure). */
int version_ask(lua_State *L, call *c, call_step next);

#endif
