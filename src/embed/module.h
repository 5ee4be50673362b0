/* embed/module.h - require "modalua": in a state of ours and in a host's or stock Lua's. */
#ifndef EMBED_MODULE_H
#define EMBED_MODULE_H

#include <lua.h>
#include <stdbool.h>

#include "api/connect.h"
#include "engine/loop.h"

/* Puts the modules into package.preload of a state of ours. [-0, +0, m] */
void module_preload(lua_State *L, loop *lp, const modalua_config *config);

/* Whether a sandboxed script can require the module of ours of that name. */
bool module_is_for_sandbox(const char *name);

/* Pushes the module of that name, for a function that the host calls: one of ours, whatever scripts
 * can reach, or one that scripts could require. [-0, +1, v] */
void module_push_for_host(lua_State *L, const char *name);

#endif
