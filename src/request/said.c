#include "request/said.h"

#include <lauxlib.h>

#include "json/mark.h"
#include "request/response.h"

const char *said_push(lua_State *L, int index)
{
    int type = lua_type(L, index);
    index = lua_absindex(L, index);
    if (type == LUA_TSTRING) {
        response_push_quoted(L, lua_tostring(L, index), lua_rawlen(L, index));
        lua_pushfstring(L, "'%s'", lua_tostring(L, -1));
        lua_remove(L, -2);
        return lua_tostring(L, -1);
    }
    if (type == LUA_TNUMBER || type == LUA_TBOOLEAN)
        return luaL_tolstring(L, index, NULL);
    if (json_mark_is_null(L, index))
        return lua_pushliteral(L, "null");
    return lua_pushstring(L, type <= LUA_TNIL ? "missing" : lua_typename(L, type));
}

int said_l_said(lua_State *L)
{
    lua_settop(L, 1);
    said_push(L, 1);
    return 1;
}
