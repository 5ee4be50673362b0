/* embed/c_modules.h - the modules of scripts that are written in C. They call the Lua that the dynamic
 * linker gives them. When this is not the Lua of the runtime, they would crash. */
#ifndef EMBED_C_MODULES_H
#define EMBED_C_MODULES_H

#include <lua.h>

/* Makes package.loadlib and the searchers of C modules refuse, unless C modules get the Lua of this state.
 * The standard library has been opened, and `package` is as Lua made it. [-0, +0, m] */
void c_modules_check(lua_State *L);

#endif
