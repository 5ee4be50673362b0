#include "request/route_options.h"

#include <lauxlib.h>
#include <stdbool.h>
#include <string.h>

#include "base/clock.h"
#include "base/nearest.h"
#include "binding/error.h"

enum { PORT_MAX = 65534, SECONDS_MAX = 0x7fffffff };

/* ---- values ---- */

static bool is_plain_string(lua_State *L, int index)
{
    return lua_type(L, index) == LUA_TSTRING &&
           strlen(lua_tostring(L, index)) == lua_rawlen(L, index);
}

static bool is_method(const char *text)
{
    return strcmp(text, "C-MOVE") == 0 || strcmp(text, "C-GET") == 0 ||
           strcmp(text, "SystemDefault") == 0;
}

/* Whether the value on the top is a table of headers, from names to values, both valid strings. */
static bool are_headers(lua_State *L)
{
    int table = lua_gettop(L);
    bool good = lua_istable(L, table);
    if (!good)
        return false;
    for (lua_pushnil(L); good && lua_next(L, table); lua_settop(L, table + 1))
        good = is_plain_string(L, table + 1) && is_plain_string(L, table + 2) &&
               !strpbrk(lua_tostring(L, table + 1), "\r\n:") &&
               !strpbrk(lua_tostring(L, table + 2), "\r\n");
    lua_settop(L, table);
    return good;
}

/* Whether the value on the top is of that type. */
static bool value_fits(lua_State *L, orthanc_type type)
{
    int whole = 0;
    lua_Integer n = lua_type(L, -1) == LUA_TNUMBER ? lua_tointegerx(L, -1, &whole) : 0;
    switch (type) {
    case ORTHANC_SECRET:
    case ORTHANC_STRING: return is_plain_string(L, -1);
    case ORTHANC_TEXT: return is_plain_string(L, -1) && lua_rawlen(L, -1) > 0;
    case ORTHANC_AET: return is_plain_string(L, -1) && orthanc_is_aet(lua_tostring(L, -1));
    case ORTHANC_AET_OR_NONE:
        return is_plain_string(L, -1) &&
               (lua_rawlen(L, -1) == 0 || orthanc_is_aet(lua_tostring(L, -1)));
    case ORTHANC_BOOLEAN: return lua_isboolean(L, -1);
    case ORTHANC_INTEGER: return whole;
    case ORTHANC_SECONDS: return whole && n >= 1 && n <= SECONDS_MAX;
    case ORTHANC_SECONDS_OR_0: return whole && n >= 0 && n <= SECONDS_MAX;
    case ORTHANC_PORT: return whole && n >= 1 && n <= PORT_MAX;
    case ORTHANC_TABLE: return lua_istable(L, -1);
    case ORTHANC_HEADERS: return are_headers(L);
    case ORTHANC_URL: return is_plain_string(L, -1) && orthanc_is_peer_url(lua_tostring(L, -1));
    case ORTHANC_METHOD: return is_plain_string(L, -1) && is_method(lua_tostring(L, -1));
    case ORTHANC_ANY: return true;
    }
    return false;
}

/* Checks the value on the top. A whole number such as 2.0 becomes 2. */
static void check_value(lua_State *L, const char *function, const orthanc_key *key)
{
    if (key->no)
        error_usage(L, "%s: '%s' cannot be given: %s", function, key->name, key->no);
    if (!value_fits(L, key->type)) {
        bool shown = (lua_isnumber(L, -1) || lua_type(L, -1) == LUA_TSTRING) &&
                     !orthanc_type_is_secret(key->type);
        const char *given = shown ? lua_pushfstring(L, "'%s'", lua_tostring(L, -1))
                                  : lua_pushfstring(L, "a %s", luaL_typename(L, -1));
        error_usage(L, "%s: '%s' must be %s (%s was given)", function, key->name,
                    orthanc_type_text(key->type), given);
    }
    if (lua_type(L, -1) == LUA_TNUMBER && key->type != ORTHANC_ANY) {
        lua_pushinteger(L, lua_tointeger(L, -1));
        lua_replace(L, -2);
    }
}

/* ---- keys ---- */

static _Noreturn void throw_unknown(lua_State *L, const char *function, const char *name,
                                    const orthanc_route *route, const option *own)
{
    nearest n = nearest_for(name);
    nearest_search(&n, route->keys, sizeof *route->keys);
    nearest_search(&n, own, sizeof *own);
    if (n.name)
        error_usage(L, "%s: unknown key '%s'; did you mean '%s'?", function, name, n.name);
    error_usage(L,
                "%s: unknown key '%s' (Orthanc would ignore it; extra = { … } sends a key "
                "that modalua does not know)",
                function, name);
}

/* Copies the members of the table on the top, the option `extra`, into the body. */
static void add_extra(lua_State *L, const char *function, const orthanc_route *route, int body)
{
    int extra = lua_gettop(L);
    if (!lua_istable(L, extra))
        error_usage(L, "%s: option 'extra' must be a table (a %s was given)", function,
                    luaL_typename(L, extra));
    for (lua_pushnil(L); lua_next(L, extra); lua_settop(L, extra + 1)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            error_usage(L, "%s: the keys of 'extra' must be strings (a %s was given)", function,
                        luaL_typename(L, -2));
        if (orthanc_key_of(route, lua_tostring(L, -2)))
            error_usage(L, "%s: '%s' is known: give it beside 'extra', not in it", function,
                        lua_tostring(L, -2));
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, body);
    }
}

const orthanc_key *route_options_read(lua_State *L, int index, const char *function,
                                      const orthanc_route *route, const option *own, void *into)
{
    const orthanc_key *newest = NULL;
    int body;
    index = lua_absindex(L, index);
    lua_newtable(L);
    body = lua_gettop(L);
    if (lua_isnoneornil(L, index))
        return NULL;
    if (!lua_istable(L, index))
        error_usage(L, "%s: options must be a table (a %s was given)", function,
                    luaL_typename(L, index));
    options_check_plain(L, index, function, "the table of options");
    for (lua_pushnil(L); lua_next(L, index); lua_settop(L, body + 1)) {
        const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL;
        const orthanc_key *key = name ? orthanc_key_of(route, name) : NULL;
        const option *row = name ? options_find(own, name) : NULL;
        if (!name)
            error_usage(L, "%s: a key must be a string (a %s was given)", function,
                        luaL_typename(L, -2));
        if (key) {
            check_value(L, function, key);
            lua_pushvalue(L, -2);
            lua_insert(L, -2);
            lua_rawset(L, body);
            if (key->since > 0 && (!newest || key->since > newest->since))
                newest = key;
        } else if (strcmp(name, options_extra.name) == 0) {
            add_extra(L, function, route, body);
        } else if (row) {
            options_value(L, function, row, into);
        } else {
            throw_unknown(L, function, name, route, own);
        }
    }
    return newest;
}

void route_options_read_call(lua_State *L, int index, call *c, const orthanc_route *route,
                             const option *own, void *into)
{
    c->needs.since = route->since;
    c->needs.what = route->what;
    c->needs.key = route_options_read(L, index, c->op.name, route, own, into);
    c->deadline = clock_after(*(const double *)into);
}

void route_options_check(lua_State *L, int index, const char *function, const orthanc_route *route,
                         const option *own, void *into)
{
    const orthanc_key *newest = route_options_read(L, index, function, route, own, into);
    (void)newest; /* checked by the call that sends the options */
}

orthanc_level route_options_level(lua_State *L, int body, const char *function)
{
    orthanc_level level;
    if (lua_getfield(L, body, "Level") != LUA_TSTRING)
        error_usage(
            L, "%s: Level is missing; it is \"Patient\", \"Study\", \"Series\" or \"Instance\"",
            function);
    level = orthanc_level_of(lua_tostring(L, -1));
    if (level == ORTHANC_NO_LEVEL)
        error_usage(
            L, "%s: unknown Level '%s'; it is \"Patient\", \"Study\", \"Series\" or \"Instance\"",
            function, lua_tostring(L, -1));
    lua_pop(L, 1);
    return level;
}

int route_options_table(lua_State *L, int index, const char *name)
{
    if (lua_getfield(L, index, name) == LUA_TTABLE)
        return lua_gettop(L);
    lua_pop(L, 1);
    return 0;
}

/* Removes a flag from the body at index: 0, 1, or -1 when it was not there. */
static int take_flag(lua_State *L, int body, const char *name)
{
    int flag;
    lua_getfield(L, body, name);
    flag = lua_isnil(L, -1) ? -1 : lua_toboolean(L, -1);
    lua_pop(L, 1);
    lua_pushnil(L);
    lua_setfield(L, body, name);
    return flag;
}

int route_options_take_synchronous(lua_State *L, int body, const char *function)
{
    int synchronous = take_flag(L, body, "Synchronous"),
        asynchronous = take_flag(L, body, "Asynchronous");
    if (synchronous >= 0 && synchronous == asynchronous)
        error_usage(L, "%s: Synchronous and Asynchronous contradict each other", function);
    return synchronous >= 0 ? synchronous : asynchronous >= 0 ? !asynchronous : -1;
}
