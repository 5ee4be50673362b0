/* own_state.c - a program that has its own Lua state, and opens the module modalua from
 * libmodalua.so in it. The argument is the URL of an Orthanc. */
#include <lauxlib.h>
#include <lualib.h>
#include <modalua.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    lua_State *L = luaL_newstate();
    int failed;
    if (!L)
        return 1;
    luaL_openlibs(L);
    luaL_requiref(L, "modalua", luaopen_modalua, 0);
    lua_pop(L, 1);
    lua_pushstring(L, argc > 1 ? argv[1] : NULL);
    lua_setglobal(L, "url");
    failed = luaL_dostring(L, "local c = require 'modalua'.connect(url)\n"
                              "print(require 'modalua.json'.encode(assert(c:system()).Version))");
    if (failed)
        fprintf(stderr, "%s\n", luaL_tolstring(L, -1, NULL));
    lua_close(L);
    return failed;
}
