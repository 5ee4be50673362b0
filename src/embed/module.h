/* embed/module.h - require "modalua": in a state of ours and in a host's or stock Lua's. */
#ifndef EMBED_MODULE_H
#define EMBED_MODULE_H

#include <lua.h>

#include "api/connect.h"
#include "engine/loop.h"

/* Puts the modules into package.preload of a state of ours. [-0, +0, m] */
void module_preload(lua_State *L, loop *lp, const client_defaults *defaults);

#endif
