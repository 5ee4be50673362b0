/* embed/module.h - the modules of modalua that `require` finds: in a state that the library owns,
 * in one that a host owns, and in stock Lua. */
#ifndef EMBED_MODULE_H
#define EMBED_MODULE_H

#include <lua.h>
#include <stdbool.h>

#include "api/connect.h"
#include "engine/loop.h"

/* Puts the modules into package.preload of a state that the library owns. `config` as in
 * connect_set_config. [-0, +0, m] */
void module_preload(lua_State *L, loop *lp, const modalua_config *config);

/* Whether modalua has a module of that name that a sandboxed script can require. */
bool module_is_for_sandbox(const char *name);

/* Pushes a function that modalua_call calls with that name to get the module: any module of modalua
 * with a public name, or else a module that scripts can require. [-0, +1, m] */
void module_push_loader_for_host(lua_State *L, const char *name);

#endif
