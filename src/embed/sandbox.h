/* embed/sandbox.h - the globals of a sandboxed script: an allow-list of the standard library,
 * `load` without bytecode, and a `require` that finds modalua's modules and those of the host. (Its
 * servers are limited by api/connect.c, its routes and functions by request/guard.h.)
 *
 * The globals of such a state are a new table. The Lua half of modalua keeps the whole standard
 * library, in globals that scripts cannot reach.
 */
#ifndef EMBED_SANDBOX_H
#define EMBED_SANDBOX_H

#include <lua.h>

#include "embed/host_functions.h"
#include "engine/loop.h"

/* Replaces the globals of a state that the library owns by those of a sandbox. Its libraries have
 * been opened before. [-0, +0, m] */
void sandbox_enter(lua_State *L, module_finder f);

#endif
