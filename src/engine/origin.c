#include "engine/origin.h"

#include <lauxlib.h>
#include <string.h>

#include "engine/stop.h"

/* Its address is the place in the registry of { error, traceback }, of the last failure that was
 * read. */
static const char origin_key;

void origin_remember(lua_State *L, int error)
{
    lua_createtable(L, 2, 0);
    lua_insert(L, -2);
    lua_rawseti(L, -2, 2);
    lua_pushvalue(L, error);
    lua_rawseti(L, -2, 1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &origin_key);
}

/* Whether `error` is the error `before`, perhaps with a place in front of the message. */
static bool is_thrown_again(lua_State *L, int error, int before)
{
    size_t n, size;
    const char *text, *end;
    if (lua_rawequal(L, error, before))
        return true;
    if (lua_type(L, error) != LUA_TSTRING || lua_type(L, before) != LUA_TSTRING)
        return false;
    text = lua_tolstring(L, error, &size);
    end = lua_tolstring(L, before, &n);
    return n > 0 && size > n && memcmp(text + size - n, end, n) == 0;
}

void origin_push_traceback(lua_State *L, int error)
{
    static const char header[] = "stack traceback:";
    int own;
    luaL_traceback(L, L, NULL, 1);
    own = lua_gettop(L);
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &origin_key) == LUA_TTABLE) {
        lua_rawgeti(L, own + 1, 1);
        lua_rawgeti(L, own + 1, 2);
        if (is_thrown_again(L, error, own + 2)) {
            lua_pushfstring(L, "%s\nthrown first in a task:%s", lua_tostring(L, own),
                            lua_tostring(L, own + 3) + sizeof header - 1);
            lua_replace(L, own);
        }
    }
    lua_settop(L, own);
}

int origin_l_keep(lua_State *L)
{
    lua_settop(L, 1);
    if (stop_is_kill(L, 1))
        return 1;
    origin_push_traceback(L, 1);
    origin_remember(L, 1);
    return 1;
}
