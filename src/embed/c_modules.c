#include "embed/c_modules.h"

#include <dlfcn.h>
#include <lauxlib.h>
#include <stdbool.h>
#include <string.h>

#define REASON                                                                    \
    "modules in C cannot be loaded: the Lua of this runtime is inside modalua's " \
    "library, and they would get another one"

/* Whether a library that is loaded now gets the functions of this Lua. */
static bool are_ours(void)
{
    lua_Number (*ours)(lua_State *) = lua_version;
    void *theirs = dlsym(RTLD_DEFAULT, "lua_version");
    return memcmp(&ours, &theirs, sizeof ours) == 0;
}

/* package.loadlib */
static int refuse_library(lua_State *L)
{
    lua_pushnil(L);
    lua_pushliteral(L, REASON);
    lua_pushliteral(L, "absent");
    return 3;
}

/* A searcher. */
static int refuse_module(lua_State *L)
{
    lua_pushliteral(L, REASON);
    return 1;
}

void c_modules_check(lua_State *L)
{
    enum { C_SEARCHER = 3, C_ROOT_SEARCHER };
    if (are_ours())
        return;
    lua_getglobal(L, "package");
    lua_pushcfunction(L, refuse_library);
    lua_setfield(L, -2, "loadlib");
    lua_getfield(L, -1, "searchers");
    lua_pushcfunction(L, refuse_module);
    lua_rawseti(L, -2, C_SEARCHER);
    lua_pushnil(L);
    lua_rawseti(L, -2, C_ROOT_SEARCHER);
    lua_pop(L, 2);
}
