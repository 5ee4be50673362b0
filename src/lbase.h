/* lbase.h - the standard functions as states of ours have them: print and warn go to the host, os.exit ends the run, and pcall, xpcall and coroutine.*
 * let a kill through and behave, inside a task, as they do in a main program. */
#ifndef LBASE_H
#define LBASE_H

#include <lua.h>

/* Replaces them in the globals, after luaL_openlibs. [-0, +0, m] */
void lbase_open(lua_State *L);

#endif
