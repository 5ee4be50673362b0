#include "binding/userdata.h"

void userdata_open(lua_State *L, struct loop *lp, const char *type, const luaL_Reg *meta)
{
    int methods = lua_gettop(L);
    if (luaL_newmetatable(L, type)) {
        lua_pushvalue(L, methods);
        lua_setfield(L, -2, "__index");
        lua_pushlightuserdata(L, lp);
        lua_pushvalue(L, methods);
        luaL_setfuncs(L, meta, 2);
        lua_pushboolean(L, 0);
        lua_setfield(L, -2, "__metatable");
    }
    lua_settop(L, methods);
}

int userdata_method(lua_State *L)
{
    lua_settop(L, 2);
    lua_rawget(L, USERDATA_METHODS);
    return 1;
}

void userdata_push_weak_table(lua_State *L, const char *mode)
{
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushstring(L, mode);
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
}
