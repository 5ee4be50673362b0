#include "embed/last_error.h"

#include <lauxlib.h>
#include <math.h>
#include <string.h>

#include "base/utf8.h"
#include "binding/error.h"
#include "json/encode.h"

/* ---- places ---- */

const char last_error_places[LAST_ERROR_PLACES];

void last_error_open(lua_State *L)
{
    for (int i = 0; i < LAST_ERROR_PLACES; i++) {
        lua_pushboolean(L, 0);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &last_error_places[i]);
    }
}

const char *last_error_keep(lua_State *L, int place)
{
    const char *text = lua_tostring(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &last_error_places[place]);
    return text;
}

/* ---- statuses ---- */

/* The words of each; and of those that a run or a call ends in, its kind, and all that can be said as
 * JSON when there is no memory for more. */
static const struct status_row {
    int status;
    const char *words, *kind, *json;
} statuses[] = {
#define ENDS(status, number, kind, words)                                                     \
    {                                                                                         \
        status, words, kind,                                                                  \
            "{\"kind\":\"" kind "\",\"message\":\"" words "\",\"modalua_status\":" number "}" \
    }
    ENDS(MODALUA_E_NOMEM, "-1", "memory", "not enough memory"),
    ENDS(MODALUA_E_SYNTAX, "-2", "syntax", "the script does not compile"),
    ENDS(MODALUA_E_SCRIPT, "-3", "script", "the script ended in an error"),
    ENDS(MODALUA_E_FILE, "-4", "file", "the script cannot be read"),
    ENDS(MODALUA_E_CANCELLED, "-6", "cancelled", "cancelled"),
    ENDS(MODALUA_E_LIMIT, "-7", "limit", "a time limit ended the run"),
    ENDS(MODALUA_E_INVALID, "-8", "invalid", "an argument that cannot be"),
    ENDS(MODALUA_EXIT, "-10", "exit", "the script called os.exit"),
#undef ENDS
    { MODALUA_OK, "no error", NULL, NULL },
    { MODALUA_WORKING, "the run goes on", NULL, NULL },
    { MODALUA_E_BUSY, "a run is under way", NULL, NULL },
    { MODALUA_E_SYSTEM, "the system refused something", NULL, NULL },
};

static const struct status_row *row_of(int status)
{
    static const struct status_row unknown = { 0, "unknown status", NULL, NULL };
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
        if (statuses[i].status == status)
            return &statuses[i];
    return &unknown;
}

const char *modalua_strerror(int status)
{
    return row_of(status)->words;
}

/* ---- what a host asks ---- */

const char *modalua_last_error(const modalua_runtime *rt)
{
    return rt && rt->error ? rt->error : "";
}

const char *modalua_last_error_json(const modalua_runtime *rt)
{
    return rt && rt->error_json ? rt->error_json : "{}";
}

void last_error_clear(modalua_runtime *rt)
{
    rt->error = rt->error_json = NULL;
}

/* ---- what went wrong ---- */

void last_error_plain_error(modalua_runtime *rt, int status)
{
    rt->error = row_of(status)->words;
    rt->error_json = row_of(status)->json;
}

int last_error_invalid(modalua_runtime *rt)
{
    if (rt && !rt->busy)
        last_error_plain_error(rt, MODALUA_E_INVALID);
    return MODALUA_E_INVALID;
}

/* ---- the text ---- */

/* Pushes what the error value says, as lua's own message handler does. [-0, +1, v] */
static void push_text(lua_State *L, int error)
{
    if (lua_isstring(L, error)) {
        lua_pushvalue(L, error);
        lua_tostring(L, -1); /* a number */
    } else if (luaL_getmetafield(L, error, "__tostring") != LUA_TNIL) {
        luaL_tolstring(L, error, NULL);
        lua_remove(L, -2);
    } else {
        lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, error));
    }
}

/* ---- the object ---- */

/* Replaces the string on the top by one that is UTF-8. [-1, +1, m] */
static void make_utf8(lua_State *L)
{
    static const char replacement[] = "\xEF\xBF\xBD";
    size_t size, n;
    const char *at = lua_tolstring(L, -1, &size), *end = at + size;
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (; at < end; at += n) {
        n = utf8_size(at, end);
        if (n > 0)
            luaL_addlstring(&b, at, n);
        else
            luaL_addstring(&b, replacement);
        n += n == 0;
    }
    luaL_pushresult(&b);
    lua_remove(L, -2);
}

/* Whether the value on the top is one that every object can have. */
static bool is_flat(lua_State *L)
{
    int type = lua_type(L, -1);
    return type == LUA_TSTRING || type == LUA_TBOOLEAN ||
           (type == LUA_TNUMBER && isfinite(lua_tonumber(L, -1)));
}

/* Whether the field at -2 may have the value on the top: what programs look at first is text, in
 * whatever a script has made of it. */
static bool is_fit(lua_State *L, bool flat)
{
    const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL;
    if (!name || (flat && !is_flat(L)))
        return false;
    return lua_type(L, -1) == LUA_TSTRING ||
           (strcmp(name, "kind") != 0 && strcmp(name, "message") != 0 &&
            strcmp(name, "traceback") != 0);
}

/* Sets the fields of the error object at `error` in the table on the top. [-0, +0, m] */
static void take_fields(lua_State *L, int error, bool flat)
{
    int into = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, error); lua_settop(L, into + 1)) {
        if (!is_fit(L, flat))
            continue;
        if (lua_type(L, -1) == LUA_TSTRING)
            make_utf8(L);
        lua_pushvalue(L, -2);
        make_utf8(L);
        lua_insert(L, -2);
        lua_rawset(L, into);
    }
}

/* Sets a field of the table on the top to the string at index, unless it has one. [-0, +0, m] */
static void set_string(lua_State *L, const char *field, int index)
{
    bool missing = lua_getfield(L, -1, field) == LUA_TNIL;
    lua_pop(L, 1);
    if (!missing || lua_type(L, index) != LUA_TSTRING)
        return;
    lua_pushvalue(L, index);
    make_utf8(L);
    lua_setfield(L, -2, field);
}

/* status, error, text, traceback, flat: gives the JSON text. */
static int object_p(lua_State *L)
{
    enum { STATUS = 1, ERROR, TEXT, TRACEBACK, FLAT };
    lua_newtable(L);
    if (error_is(L, ERROR))
        take_fields(L, ERROR, lua_toboolean(L, FLAT));
    lua_pushvalue(L, STATUS);
    lua_setfield(L, -2, "modalua_status"); /* `status` is HTTP's */
    lua_pushstring(L, row_of((int)lua_tointeger(L, STATUS))->kind);
    lua_insert(L, -2); /* … kind object */
    set_string(L, "kind", lua_gettop(L) - 1);
    set_string(L, "message", TEXT);
    set_string(L, "traceback", TRACEBACK);
    if (!json_encode(L, lua_gettop(L), NULL))
        return lua_error(L);
    return 1;
}

/* Pushes the JSON text; without its tables, should those hold what no JSON can. [-0, +1, v] */
static void push_object(lua_State *L, int status, int error, int text, int traceback)
{
    for (int flat = 0; flat <= 1; flat++) {
        int result;
        lua_pushcfunction(L, object_p);
        lua_pushinteger(L, status);
        lua_pushvalue(L, error);
        lua_pushvalue(L, text);
        if (traceback)
            lua_pushvalue(L, traceback);
        else
            lua_pushnil(L);
        lua_pushboolean(L, flat);
        result = lua_pcall(L, 5, 1, 0);
        if (result == LUA_OK)
            return;
        if (flat || result == LUA_ERRMEM)
            lua_error(L);
        lua_pop(L, 1);
    }
}

void last_error_error(lua_State *L, modalua_runtime *rt, int status, int error, int traceback)
{
    int text;
    last_error_plain_error(rt, status);
    push_text(L, error);
    text = lua_gettop(L);
    push_object(L, status, error, text, traceback);
    if (traceback && lua_isstring(L, traceback))
        lua_pushfstring(L, "%s\n%s", lua_tostring(L, text), lua_tostring(L, traceback));
    else
        lua_pushvalue(L, text);
    rt->error = last_error_keep(L, LAST_ERROR_ERROR);
    rt->error_json = last_error_keep(L, LAST_ERROR_ERROR_JSON);
    lua_settop(L, text - 1);
}
