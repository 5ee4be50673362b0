/* embed/host_functions.h - functions of the host that scripts can call, and the host's search for
 * modules. In states that the library owns. */
#ifndef EMBED_HOST_FUNCTIONS_H
#define EMBED_HOST_FUNCTIONS_H

#include <lua.h>

#include "engine/loop.h"
#include "modalua.h"

/* Pushes a Lua function that calls the host's function: it passes its arguments as one JSON array,
 * and returns the host's reply; for an error, nil and an error object of kind "host". `name` stands
 * in error messages. [-0, +1, m] */
void host_functions_push_function(lua_State *L, loop *lp, const char *name,
                                  modalua_function function, void *user);

/* From now on the function that is on the top owns its `user`: when it is collected, `destroy` is called
 * with that. When this throws, it does not own it. [-0, +0, m] */
void host_functions_own_user(lua_State *L, modalua_destroy_fn destroy);

/* In a C function with two upvalues, of which the second keeps what `function` and `user` need: calls
 * the host's function with the arguments on the stack but the lowest `skip`. Returns the number of
 * results, as lua_CFunctions do. [-0, +n, v] */
int host_functions_call(lua_State *L, loop *lp, const char *name, modalua_function function,
                        void *user, int skip);

/* How the host searches for modules. */
typedef struct module_finder {
    loop *lp;
    modalua_search_fn search; /* NULL = it has no modules */
    void *user;
} module_finder;

/* Pushes a copy as a userdata, to be an upvalue. [-0, +1, m] */
module_finder *host_functions_push_finder(lua_State *L, module_finder f);

/* Makes `require` ask the host for modules that are not preloaded, before it looks for files.
 * [-0, +0, m] */
void host_functions_add_searcher(lua_State *L, module_finder f);

/* Asks the host for a module. True: pushes its chunk, compiled. False: pushes a message that says
 * why there is none, as a searcher of `require` does. Throws when the host has the module and
 * cannot give it, or when it does not compile. [-0, +1, v] */
bool host_functions_find_module(lua_State *L, const module_finder *f, const char *name);

#endif
