/* request/route_options.h - the options of an operation: the keys that Orthanc's route takes, and
 * modalua's own. */
#ifndef REQUEST_ROUTE_OPTIONS_H
#define REQUEST_ROUTE_OPTIONS_H

#include <lua.h>

#include "binding/options.h"
#include "orthanc/routes.h"
#include "orthanc/tags.h"
#include "request/call.h"

/* Reads the options of the table at index (nil = none). Pushes a new table, the body: the keys of the
 * route, and the members of `extra` unchecked. modalua's own options go into `into` as the rows of
 * `own` say (binding/options.h). Returns the key that needs the newest version, or NULL: the version
 * must be checked before the body is sent. Throws, naming `function`, on unknown names and wrong
 * values. [-0, +1, v] */
__attribute__((warn_unused_result)) const orthanc_key *
route_options_read(lua_State *L, int index, const char *function, const orthanc_route *route,
                   const option *own, void *into);

/* The same for a call. The version that the route and its keys need is checked before the call's first
 * step. `into` begins with the option wait_timeout (a double), which sets the call's deadline.
 * [-0, +1, v] */
void route_options_read_call(lua_State *L, int index, call *c, const orthanc_route *route,
                             const option *own, void *into);

/* Only checks the options: route_options_read_call reads them later. Pushes the body. [-0, +1, v] */
void route_options_check(lua_State *L, int index, const char *function, const orthanc_route *route,
                         const option *own, void *into);

/* The Level of the body at index. Throws when it is missing or unknown. [-0, +0, v] */
orthanc_level route_options_level(lua_State *L, int body, const char *function);

/* Pushes the field `name` of the table at index when it is a table, and returns its stack index. Else
 * returns 0. [-0, +(0|1), -] */
int route_options_table(lua_State *L, int index, const char *name);

/* Removes Synchronous and Asynchronous from the body at index. Returns 1 for Synchronous = true, 0 for
 * Synchronous = false, -1 when neither is given. [-0, +0, v] */
int route_options_take_synchronous(lua_State *L, int body, const char *function);

#endif
