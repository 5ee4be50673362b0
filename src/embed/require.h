/* embed/require.h - `require` in a state that the library owns: as Lua's own, but a module may wait
 * for operations while it is loaded. Its task is suspended then; another task that requires the same
 * module meanwhile waits for it, so that it is loaded once. Modules that require one another are an
 * error.
 */
#ifndef EMBED_REQUIRE_H
#define EMBED_REQUIRE_H

#include <lua.h>

#include "engine/op.h"

/* Replaces the global `require`; luaL_openlibs has been called. [-0, +0, m] */
void require_open(lua_State *L);

/* For a C function that loads the module with the name at index 1. When another task is loading it:
 * pushes an operation that waits for that and then calls the running function again; the function
 * returns op_run's results. NULL: the module has to be loaded here; pushes nothing. Throws when the
 * module requires itself. [-0, +(0|1), v] */
op *require_wait(lua_State *L);

/* This task loads the module with the name at index 1 now: until the running C function has returned,
 * or has thrown. Pushes a value that must stay on the stack. [-0, +1, m] */
void require_begin(lua_State *L);

#endif
