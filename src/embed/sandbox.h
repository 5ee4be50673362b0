/* embed/sandbox.h - what a script has that its host does not trust with the machine: an allow-list of
 * the standard library, modules of the host's choice, the servers that the host names, no files and
 * nothing of the server's own settings.
 *
 * The globals of such a state are a table made for it. modalua's own Lua half keeps the full
 * library, in globals that no script can reach.
 */
#ifndef EMBED_SANDBOX_H
#define EMBED_SANDBOX_H

#include <lua.h>

#include "embed/host_functions.h"
#include "engine/loop.h"

/* Gives a state of ours, whose libraries are open, the globals of a sandbox. [-0, +0, m] */
void sandbox_enter(lua_State *L, module_finder f);

#endif
