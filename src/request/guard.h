/* request/guard.h - refuses a sandboxed script what is not for it: functions that reach files or the
 * server's settings, and routes of the server (orthanc/sandbox_routes.h). */
#ifndef REQUEST_GUARD_H
#define REQUEST_GUARD_H

#include <lua.h>

#include "engine/loop.h"

/* In a sandbox, throws an error of kind "refused": the function `name` is not for sandboxed
 * scripts. `why` is its message. Outside a sandbox nothing happens. [-0, +0, v] */
void guard_check(lua_State *L, const loop *lp, const char *name, const char *why);

/* The same, for a request by the function `name` whose route a sandboxed script may not use. The
 * path is percent-encoded. [-0, +0, v] */
void guard_check_route(lua_State *L, const loop *lp, const char *name, const char *method,
                       const char *path);

#endif
