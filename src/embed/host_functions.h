/* embed/host_functions.h - functions of the host's, as scripts call them, and modules that it finds for them. In
 * states that are ours. */
#ifndef EMBED_HOST_FUNCTIONS_H
#define EMBED_HOST_FUNCTIONS_H

#include <lua.h>

#include "engine/loop.h"
#include "modalua.h"

/* Pushes a function that calls the host's: its arguments go there as one JSON array, and it returns
 * what the host replies; an error as nil and an error object of kind "host". `name` is for errors.
 * [-0, +1, m] */
void host_functions_push_function(lua_State *L, loop *lp, const char *name,
                                  modalua_function function, void *user);

/* Where the host looks for modules. */
typedef struct module_finder {
    loop *lp;
    modalua_search_fn search; /* NULL = it has none */
    void *user;
} module_finder;

/* Pushes a copy, for an upvalue. [-0, +1, m] */
module_finder *host_functions_push_finder(lua_State *L, module_finder f);

/* Lets `require` ask the host, once a module is none of those that are preloaded. [-0, +0, m] */
void host_functions_add_searcher(lua_State *L, module_finder f);

/* Asks the host for the module of that name: pushes its chunk, loaded, and returns true; or pushes
 * a text that says why there is none, as searchers of `require` do. [-0, +1, v] */
bool host_functions_find_module(lua_State *L, const module_finder *f, const char *name);

#endif
