/* request/route_options.h - the options of an operation on a modality: the keys that Orthanc's route takes beside
 * our own. */
#ifndef REQUEST_ROUTE_OPTIONS_H
#define REQUEST_ROUTE_OPTIONS_H

#include <lua.h>

#include "binding/options.h"
#include "orthanc/routes.h"
#include "orthanc/tags.h"
#include "request/call.h"

/* Reads the options of the table at index (nil = none): pushes a new table with the keys of the
 * route and the members of `extra`, which are not checked. Options of our own go where the rows of
 * `own` say (binding/options.h). Returns the key that needs the newest version, or NULL; who sends
 * the table must have that version checked. Throws, naming `function`, on unknown names and wrong
 * values. [-0, +1, v] */
__attribute__((warn_unused_result)) const orthanc_key *
route_options_read(lua_State *L, int index, const char *function, const orthanc_route *route,
                   const option *own, void *into);

/* The same for a call. The version that the route and its keys need is checked before the call's first
 * step. `into` begins with the option wait_timeout (a double), which sets the call's deadline.
 * [-0, +1, v] */
void route_options_read_call(lua_State *L, int index, call *c, const orthanc_route *route,
                             const option *own, void *into);

/* Only checks the options, for a call that reads them later; pushes the same table. [-0, +1, v] */
void route_options_check(lua_State *L, int index, const char *function, const orthanc_route *route,
                         const option *own, void *into);

/* The Level of the body at index, which it must have. [-0, +0, v] */
orthanc_level route_options_level(lua_State *L, int body, const char *function);

/* The table that is a field of the table at index: its place on the stack, or 0, and then pushes
 * nothing. [-0, +(0|1), -] */
int route_options_table(lua_State *L, int index, const char *name);

/* Takes Synchronous and Asynchronous out of the body at index. 1 = the caller wants one blocking
 * request, 0 = the job's handle at once, -1 = says nothing. [-0, +0, v] */
int route_options_take_synchronous(lua_State *L, int body, const char *function);

#endif
