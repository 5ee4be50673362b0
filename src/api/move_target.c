#include "api/move_target.h"

#include <lauxlib.h>
#include <string.h>

#include "api/remote.h"
#include "binding/error.h"

/* ---- the option ---- */

bool move_target_read(lua_State *L, int options, int body, const char *function)
{
    int top = lua_gettop(L);
    bool has_aet = lua_getfield(L, body, "TargetAet") != LUA_TNIL, has_to = false;
    if (lua_istable(L, options)) {
        lua_pushliteral(L, "to");
        has_to = lua_rawget(L, options) != LUA_TNIL;
        if (has_to && lua_type(L, -1) == LUA_TUSERDATA) {
            remote_check(L, lua_gettop(L), &remote_modality);
        } else if (has_to &&
                   (lua_type(L, -1) != LUA_TSTRING || !orthanc_is_name(lua_tostring(L, -1)))) {
            error_usage(L,
                        "%s: 'to' must be a modality, or the name of one (for an AE title use "
                        "TargetAet)",
                        function);
        }
    }
    if (has_aet && has_to)
        error_usage(L, "%s: 'to' and 'TargetAet' both name a target; give one of the two",
                    function);
    lua_settop(L, top);
    return has_aet || has_to;
}

/* ---- for the Lua half ---- */

int move_target_name(lua_State *L)
{
    enum { OP = 1, ASKER, TO };
    const client *asker = client_check(L, ASKER), *other;
    const remote *r;
    if (lua_type(L, TO) == LUA_TSTRING)
        return 1;
    r = remote_check(L, TO, &remote_modality);
    lua_getiuservalue(L, TO, REMOTE_CLIENT);
    other = client_check(L, -1);
    if (strcmp(http_server_url(other->server), http_server_url(asker->server)) != 0)
        error_usage(L, "%s: 'to' is a modality of another server, %s", luaL_checkstring(L, OP),
                    http_server_url(other->server));
    lua_pushstring(L, r->name);
    return 1;
}

int move_target_warn(lua_State *L)
{
    lua_pushfstring(L, "modalua: %s: %s", luaL_checkstring(L, 1), luaL_checkstring(L, 2));
    lua_warning(L, lua_tostring(L, -1), 0);
    return 0;
}
