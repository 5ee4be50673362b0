/* embed/long_calls.h - functions of Lua's standard library that can take long in one call, in a state
 * that the library owns. The hook (engine/stop.h) runs between instructions, and such a call is one.
 *
 * string.rep, the functions with patterns (embed/patterns.h) and the loops of `table` look from time to
 * time whether the run has to stop. The library cannot interrupt the others. After those, and after calls
 * that often end before their first look, the clock is read, so that the next instruction is stopped.
 */
#ifndef EMBED_LONG_CALLS_H
#define EMBED_LONG_CALLS_H

#include <lua.h>

/* Replaces these functions in the globals; luaL_openlibs has been called. [-0, +0, m] */
void long_calls_open(lua_State *L);

#endif
