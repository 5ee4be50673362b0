#include "request/client_record.h"

#include <lauxlib.h>

client *client_check(lua_State *L, int index)
{
    client *c = luaL_checkudata(L, index, CLIENT_TYPE);
    /* A script's finalizer can run after the client's own. */
    luaL_argcheck(L, c->server, index, "attempt to use a closed client");
    return c;
}

void client_push_table(lua_State *L, int index, int value, const char *mode)
{
    index = lua_absindex(L, index);
    if (lua_getiuservalue(L, index, value) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    if (*mode) {
        lua_createtable(L, 0, 1);
        lua_pushstring(L, mode);
        lua_setfield(L, -2, "__mode");
        lua_setmetatable(L, -2);
    }
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, index, value);
}
