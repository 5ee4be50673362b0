/* embed/library.h - functions of Lua's standard library give place to ours. */
#ifndef EMBED_LIBRARY_H
#define EMBED_LIBRARY_H

#include <lauxlib.h>

/* Puts the functions into the library, a global table; "_G" has the basic functions. [-0, +0, m] */
static inline void library_replace(lua_State *L, const char *library, const luaL_Reg *functions)
{
    lua_getglobal(L, library);
    luaL_setfuncs(L, functions, 0);
    lua_pop(L, 1);
}

/* Puts a closure of the function into the place of another one, which becomes its first upvalue; the second one is
 * the number. [-0, +0, m] */
static inline void library_wrap(lua_State *L, const char *library, const char *name,
                                lua_CFunction function, lua_Integer number)
{
    lua_getglobal(L, library);
    lua_getfield(L, -1, name);
    lua_pushinteger(L, number);
    lua_pushcclosure(L, function, 2);
    lua_setfield(L, -2, name);
    lua_pop(L, 1);
}

#endif
