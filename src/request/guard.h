/* request/guard.h - what a sandboxed script may not do: call functions that reach files or the
 * server's settings, and use some routes of the server (orthanc/sandbox_routes.h). */
#ifndef REQUEST_GUARD_H
#define REQUEST_GUARD_H

#include <lua.h>

#include "engine/loop.h"

/* Throws an error of kind "refused" in a sandbox: `why` is its message, `name` the function that the
 * script called. Does nothing outside a sandbox. [-0, +0, v] */
void guard_check(lua_State *L, const loop *lp, const char *name, const char *why);

/* The same when a sandboxed script may not use this route. The path is percent-encoded. What is checked is
 * the path from the root of the server that the host allows: a script can have connected to a path below
 * that. [-0, +0, v] */
void guard_check_route(lua_State *L, const loop *lp, const char *name, const http_server *s,
                       const char *method, const char *path);

#endif
