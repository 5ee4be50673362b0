#include "binding/userdata.h"

void userdata_open(lua_State *L, struct loop *lp, const char *type, const object_kind *kind,
                   const luaL_Reg *meta)
{
    int methods = lua_gettop(L);
    if (luaL_newmetatable(L, type)) {
        lua_pushlightuserdata(L, lp);
        lua_pushvalue(L, methods);
        luaL_setfuncs(L, meta, USERDATA_UPVALUES);
        lua_pushboolean(L, 0);
        lua_setfield(L, -2, "__metatable");
        fields_describe(L, kind);
    }
    lua_settop(L, methods);
}

int userdata_method(lua_State *L)
{
    lua_settop(L, 2);
    lua_pushvalue(L, 2);
    if (lua_rawget(L, USERDATA_METHODS) != LUA_TNIL)
        return 1;
    return fields_end_index(L, USERDATA_METHODS);
}

void userdata_push_weak_table(lua_State *L, const char *mode)
{
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushstring(L, mode);
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
}
