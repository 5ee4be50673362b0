#include "api/move_target.h"

#include <lauxlib.h>
#include <string.h>

#include "api/remote.h"
#include "api/transfer.h"
#include "base/nearest.h"
#include "binding/error.h"

/* ---- the option ---- */

bool move_target_read(lua_State *L, int options, int body, const char *function, int call_index)
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
        if (call_index)
            call_keep(L, call_index, "to", -1);
    }
    if (has_aet && has_to)
        error_usage(L, "%s: 'to' and 'TargetAet' both name a target; give one of the two",
                    function);
    lua_settop(L, top);
    return has_aet || has_to;
}

/* ---- the steps, in order ---- */

static int move_target_on_modalities(lua_State *L, call *c);
static int use_name(lua_State *L, call *c, int modalities, int to);
static void warn_about_name(lua_State *L, const call *c, int modalities, int aet);

int move_target_find(lua_State *L, call *c)
{
    bool has_target;
    call_push(L, c, "to");
    call_push(L, c, "body");
    lua_getfield(L, -1, "TargetAet");
    has_target = !lua_isnil(L, -1) || !lua_isnil(L, -3);
    lua_settop(L, c->op.index);
    if (has_target)
        return call_get(L, c, move_target_on_modalities, "/modalities?expand");
    return transfer_begin(L, c);
}

/* A TargetAet is used as it is; a failure of this request only loses the warning. */
static int move_target_on_modalities(lua_State *L, call *c)
{
    int to = c->op.index + 1, aet = to + 2, modalities = to + 3;
    call_push(L, c, "to");
    call_push(L, c, "body");
    lua_getfield(L, -1, "TargetAet");
    if (call_answer(L, c) != 1) {
        if (!lua_isnil(L, to))
            return 2;
    } else if (!lua_isnil(L, to)) {
        if (!lua_istable(L, modalities))
            return call_fail(L, c, "decode", NULL,
                             "unexpected response: the modalities are not a table");
        return use_name(L, c, modalities, to);
    } else if (lua_istable(L, modalities)) {
        warn_about_name(L, c, modalities, aet);
    }
    lua_settop(L, c->op.index);
    return transfer_begin(L, c);
}

/* ---- a modality by its name ---- */

/* The name that the value at index `to` gives, a string or a modality. Throws when the modality is
 * one of another server. */
static const char *target_name(lua_State *L, const call *c, int to)
{
    const remote *r = lua_touserdata(L, to);
    const client *other;
    if (lua_type(L, to) == LUA_TSTRING)
        return lua_tostring(L, to);
    lua_getiuservalue(L, to, REMOTE_CLIENT);
    other = client_check(L, lua_gettop(L));
    lua_pop(L, 1);
    if (strcmp(http_server_url(other->server), http_server_url(c->client->server)) != 0)
        error_usage(L, "%s: 'to' is a modality of another server, %s", c->op.name,
                    http_server_url(other->server));
    return r->name;
}

static int fail_unknown(lua_State *L, const call *c, int modalities, const char *name)
{
    nearest n = nearest_for(name);
    for (lua_pushnil(L); lua_next(L, modalities); lua_pop(L, 1))
        if (lua_type(L, -2) == LUA_TSTRING) {
            const char *rows[] = { lua_tostring(L, -2), NULL }; /* the table keeps it alive */
            nearest_search(&n, rows, sizeof rows[0]);
        }
    return call_fail(L, c, "orthanc", "unknown_modality",
                     "the server knows no modality '%s' to send to%s%s%s", name,
                     n.name ? "; did you mean '" : "", n.name ? n.name : "", n.name ? "'?" : "");
}

/* Sets TargetAet to the AE title of the modality, and goes on. The server's modalities are a table
 * from names to settings. */
static int use_name(lua_State *L, call *c, int modalities, int to)
{
    const char *name = target_name(L, c, to), *aet;
    if (lua_getfield(L, modalities, name) != LUA_TTABLE)
        return fail_unknown(L, c, modalities, name);
    lua_getfield(L, -1, "AET");
    aet = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
    if (!orthanc_is_aet(aet))
        return call_fail(L, c, "refused", "bad_aet",
                         "the AE title of the modality '%s' is '%s'; it must be 1 to 16 ASCII "
                         "characters without "
                         "backslash",
                         name, aet);
    lua_setfield(L, to + 1, "TargetAet");
    lua_settop(L, c->op.index);
    return transfer_begin(L, c);
}

/* ---- an AE title that is the name of a modality ---- */

static void warn_about_name(lua_State *L, const call *c, int modalities, int aet)
{
    const char *target = lua_tostring(L, aet), *meant;
    if (lua_getfield(L, modalities, target) != LUA_TTABLE ||
        lua_getfield(L, -1, "AET") != LUA_TSTRING)
        return;
    meant = lua_tostring(L, -1);
    if (strcmp(meant, target) == 0)
        return;
    call_push_data(L, c);
    lua_pushfstring(
        L, "TargetAet '%s' is the name of a modality, and its AE title is '%s': use to = \"%s\"",
        target, meant, target);
    lua_pushfstring(L, "modalua: %s: %s", c->op.name, lua_tostring(L, -1));
    lua_warning(L, lua_tostring(L, -1), 0);
    lua_pop(L, 1);
    lua_setfield(L, -2, "hint");
}
