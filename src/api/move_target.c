#include "api/move_target.h"

#include <lauxlib.h>
#include <string.h>

#include "api/modality.h"
#include "api/transfer.h"
#include "base/nearest.h"
#include "binding/error.h"

bool move_target_read(lua_State *L, int options, int body, const char *function)
{
    int top = lua_gettop(L);
    bool has_aet = lua_getfield(L, body, "TargetAet") != LUA_TNIL, has_to = false;
    if (lua_istable(L, options)) {
        lua_pushliteral(L, "to");
        has_to = lua_rawget(L, options) != LUA_TNIL;
        if (has_to && lua_type(L, -1) == LUA_TUSERDATA) {
            modality_check(L, lua_gettop(L));
        } else if (has_to &&
                   (lua_type(L, -1) != LUA_TSTRING || !orthanc_is_name(lua_tostring(L, -1)))) {
            error_usage(L,
                        "%s: 'to' must be a modality, or the name of one (for an AE title there is "
                        "TargetAet)",
                        function);
        }
    }
    if (has_aet && has_to)
        error_usage(L, "%s: 'to' and 'TargetAet' both name a target", function);
    lua_settop(L, top);
    return has_aet || has_to;
}

void move_target_keep(lua_State *L, int call_index, int options)
{
    if (!lua_istable(L, options))
        return;
    lua_pushliteral(L, "to");
    lua_rawget(L, options);
    call_keep(L, call_index, "to", -1);
    lua_pop(L, 1);
}

/* The name of the modality `to` is on the top. */
static const char *name_of(lua_State *L, const call *c)
{
    const modality *m = lua_touserdata(L, -1);
    const client *other;
    if (lua_type(L, -1) == LUA_TSTRING)
        return lua_tostring(L, -1);
    lua_getiuservalue(L, -1, MODALITY_CLIENT);
    other = client_check(L, lua_gettop(L));
    lua_pop(L, 1);
    if (strcmp(http_server_url(other->server), http_server_url(c->client->server)) != 0)
        error_usage(L, "%s: 'to' is a modality of another server, %s", c->base.name,
                    http_server_url(other->server));
    return m->name;
}

/* Of the names of the table at index, the one that was meant; NULL = none is near. */
static const char *nearest_name(lua_State *L, int modalities, const char *word)
{
    nearest h = nearest_for(word);
    for (lua_pushnil(L); lua_next(L, modalities); lua_pop(L, 1))
        if (lua_type(L, -2) == LUA_TSTRING) {
            const char *rows[] = { lua_tostring(L, -2), NULL }; /* the table keeps it */
            nearest_look(&h, rows, sizeof rows[0]);
        }
    return h.name;
}

static int unknown_name(lua_State *L, const call *c, int modalities, const char *name)
{
    const char *meant = nearest_name(L, modalities, name);
    return call_fail(L, c, "orthanc", "unknown_modality",
                     "the server knows no modality '%s' to send to%s%s%s", name,
                     meant ? "; did you mean '" : "", meant ? meant : "", meant ? "'?" : "");
}

/* The modalities of the server, name to settings, are on the top. */
static int use_name(lua_State *L, call *c, int data)
{
    int modalities = lua_gettop(L);
    const char *name, *aet;
    lua_getfield(L, data, "to");
    name = name_of(L, c);
    if (lua_getfield(L, modalities, name) != LUA_TTABLE)
        return unknown_name(L, c, modalities, name);
    lua_getfield(L, -1, "AET");
    aet = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
    if (!orthanc_is_aet(aet))
        return call_fail(
            L, c, "refused", "bad_aet",
            "the AE title of the modality '%s' is '%s'; it must be 1 to 16 characters of ASCII "
            "without backslash",
            name, aet);
    lua_getfield(L, data, "body");
    lua_pushvalue(L, -2);
    lua_setfield(L, -2, "TargetAet");
    lua_settop(L, c->base.index);
    return transfer_begin(L, c);
}

/* The server's modalities are on the top. */
static void look_for_mistake(lua_State *L, const call *c, int data, const char *target)
{
    const char *aet;
    if (lua_getfield(L, -1, target) != LUA_TTABLE || lua_getfield(L, -1, "AET") != LUA_TSTRING)
        return;
    aet = lua_tostring(L, -1);
    if (strcmp(aet, target) == 0)
        return;
    lua_pushfstring(
        L, "TargetAet '%s' is the name of a modality, whose AE title is '%s': say to = \"%s\"",
        target, aet, target);
    lua_pushfstring(L, "modalua: %s: %s", c->base.name, lua_tostring(L, -1));
    lua_warning(L, lua_tostring(L, -1), 0);
    lua_pop(L, 1);
    lua_setfield(L, data, "hint");
}

static int modalities_answered(lua_State *L, call *c)
{
    int data = c->base.index + 1;
    call_push_data(L, c);
    lua_getfield(L, data, "to");
    lua_getfield(L, data, "body");
    lua_getfield(L, -1, "TargetAet");
    if (!lua_isnil(L, data + 1)) {
        if (call_answer(L, c) != 1)
            return 2;
        if (!lua_istable(L, -1))
            return call_fail(L, c, "decode", NULL, "the modalities are no table");
        return use_name(L, c, data);
    }
    if (call_answer(L, c) == 1 && lua_istable(L, -1))
        look_for_mistake(L, c, data, lua_tostring(L, data + 3));
    lua_settop(L, c->base.index);
    return transfer_begin(L, c);
}

int move_target_find(lua_State *L, call *c)
{
    bool has_target;
    call_push_data(L, c);
    lua_getfield(L, -1, "to");
    lua_getfield(L, -2, "body");
    lua_getfield(L, -1, "TargetAet");
    has_target = !lua_isnil(L, -1) || !lua_isnil(L, -3);
    lua_settop(L, c->base.index);
    if (has_target)
        return call_get(L, c, modalities_answered, "/modalities?expand");
    return transfer_begin(L, c);
}
