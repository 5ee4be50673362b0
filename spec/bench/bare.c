/* bare.c - the command is compared with this: a C program that links Lua and libcurl in the same
 * way, and runs a script. */
#include <curl/curl.h>
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    lua_State *L = luaL_newstate();
    int failed;
    if (!L || argc < 2)
        return 2;
    luaL_openlibs(L);
    failed = luaL_dofile(L, argv[1]);
    if (failed)
        fprintf(stderr, "%s (libcurl %s)\n", lua_tostring(L, -1), curl_version());
    lua_close(L);
    return failed;
}
