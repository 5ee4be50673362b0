#include "embed/last_error.h"

#include <lauxlib.h>
#include <math.h>
#include <string.h>

#include "base/utf8.h"
#include "binding/error.h"
#include "embed/error_place.h"
#include "embed/kept.h"
#include "json/encode.h"

/* ---- statuses ---- */

/* For each status its text; and, when it can be the last error, its kind, and the JSON object that
 * is used when there is no memory to make one. */
static const struct status_row {
    int status;
    const char *text, *kind, *json;
} statuses[] = {
#define ERROR(status, number, kind, text)                                                    \
    {                                                                                        \
        status, text, kind,                                                                  \
            "{\"kind\":\"" kind "\",\"message\":\"" text "\",\"modalua_status\":" number "}" \
    }
    ERROR(MODALUA_E_NOMEM, "-1", "memory", "not enough memory"),
    ERROR(MODALUA_E_SYNTAX, "-2", "syntax", "the script does not compile"),
    ERROR(MODALUA_E_SCRIPT, "-3", "script", "the script ended with an error"),
    ERROR(MODALUA_E_FILE, "-4", "file", "the script cannot be read"),
    ERROR(MODALUA_E_CANCELLED, "-6", "cancelled", "cancelled"),
    ERROR(MODALUA_E_LIMIT, "-7", "limit", "a time limit ended the run"),
    ERROR(MODALUA_E_INVALID, "-8", "invalid", "invalid argument"),
    ERROR(MODALUA_EXIT, "-10", "exit", "the script called os.exit"),
#undef ERROR
    { MODALUA_OK, "no error", NULL, NULL },
    { MODALUA_WORKING, "the run continues", NULL, NULL },
    { MODALUA_E_BUSY, "a run is under way", NULL, NULL },
    { MODALUA_E_SYSTEM, "the system has refused a resource", NULL, NULL },
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
    return row_of(status)->text;
}

/* ---- reading the last error ---- */

const char *modalua_last_error(const modalua_runtime *rt)
{
    return rt && rt->error ? rt->error : "";
}

const char *modalua_last_error_json(const modalua_runtime *rt)
{
    return rt && rt->error_json ? rt->error_json : "{}";
}

/* ---- setting it without an error value ---- */

void last_error_clear(modalua_runtime *rt)
{
    rt->error = rt->error_json = NULL;
}

void last_error_set_status(modalua_runtime *rt, int status)
{
    rt->error = row_of(status)->text;
    rt->error_json = row_of(status)->json;
}

int last_error_invalid_argument(modalua_runtime *rt)
{
    if (rt && !rt->busy)
        last_error_set_status(rt, MODALUA_E_INVALID);
    return MODALUA_E_INVALID;
}

/* ---- the JSON object of an error value ---- */

/* In the string on the top, replaces bytes that are not UTF-8. [-1, +1, m] */
static void make_utf8(lua_State *L)
{
    static const char replacement_character[] = "\xEF\xBF\xBD";
    size_t size, n;
    const char *at = lua_tolstring(L, -1, &size), *end = at + size;
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (; at < end; at += n) {
        n = utf8_size(at, end);
        if (n > 0)
            luaL_addlstring(&b, at, n);
        else
            luaL_addstring(&b, replacement_character);
        n += n == 0;
    }
    luaL_pushresult(&b);
    lua_remove(L, -2);
}

/* Whether the value on the top can always be JSON. A table may hold a cycle or a function. */
static bool is_scalar(lua_State *L)
{
    int type = lua_type(L, -1);
    return type == LUA_TSTRING || type == LUA_TBOOLEAN ||
           (type == LUA_TNUMBER && isfinite(lua_tonumber(L, -1)));
}

/* Whether the object gets the field whose name is at -2 and whose value is on the top. A script may
 * put anything into an error object; `kind`, `message` and `traceback` stay strings. */
static bool is_wanted(lua_State *L, bool scalars_only)
{
    const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL;
    if (!name || (scalars_only && !is_scalar(L)))
        return false;
    return lua_type(L, -1) == LUA_TSTRING ||
           (strcmp(name, "kind") != 0 && strcmp(name, "message") != 0 &&
            strcmp(name, "traceback") != 0);
}

/* Copies the fields of the error object at `error` to the table on the top. [-0, +0, m] */
static void copy_error_fields(lua_State *L, int error, bool scalars_only)
{
    int into = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, error); lua_settop(L, into + 1)) {
        if (!is_wanted(L, scalars_only))
            continue;
        if (lua_type(L, -1) == LUA_TSTRING)
            make_utf8(L);
        lua_pushvalue(L, -2);
        make_utf8(L);
        lua_insert(L, -2);
        lua_rawset(L, into);
    }
}

/* Sets a field of the table on the top to the string at index, unless the field is set already, or
 * there is no string. [-0, +0, m] */
static void set_missing(lua_State *L, const char *field, int index)
{
    bool missing = lua_getfield(L, -1, field) == LUA_TNIL;
    lua_pop(L, 1);
    if (!missing || lua_type(L, index) != LUA_TSTRING)
        return;
    lua_pushvalue(L, index);
    make_utf8(L);
    lua_setfield(L, -2, field);
}

/* Sets a field of the table on the top to a number, unless it is set already, or the number is 0.
 * [-0, +0, m] */
static void set_missing_number(lua_State *L, const char *field, lua_Integer value)
{
    bool missing = lua_getfield(L, -1, field) == LUA_TNIL;
    lua_pop(L, 1);
    if (!missing || value == 0)
        return;
    lua_pushinteger(L, value);
    lua_setfield(L, -2, field);
}

/* The object is on the top. Sets where in the script the error has happened. [-0, +0, m] */
static void set_place(lua_State *L, int status, int text, int traceback, lua_Integer column)
{
    error_place p;
    bool found = false;
    int object = lua_gettop(L);
    if (lua_getfield(L, object, "where") == LUA_TSTRING)
        found = error_place_read_where(lua_tostring(L, -1), &p);
    if (!found && (status == MODALUA_E_SYNTAX || lua_isstring(L, traceback)))
        found = error_place_find(lua_tostring(L, text), lua_tostring(L, traceback), &p);
    if (found) {
        lua_pushlstring(L, p.module, p.size);
        lua_pushvalue(L, object);
        set_missing(L, "module", object + 2);
        set_missing_number(L, "line", p.line);
        set_missing_number(L, "column", column);
    }
    lua_settop(L, object);
}

/* A lua_CFunction: status, error, text, traceback or nil, column or 0, scalars_only -> JSON text. */
static int object_p(lua_State *L)
{
    enum { STATUS = 1, ERROR, TEXT, TRACEBACK, COLUMN, SCALARS_ONLY };
    lua_newtable(L);
    if (error_is(L, ERROR))
        copy_error_fields(L, ERROR, lua_toboolean(L, SCALARS_ONLY));
    lua_pushvalue(L, STATUS);
    lua_setfield(L, -2, "modalua_status"); /* `status` is the status of HTTP */
    lua_pushstring(L, row_of((int)lua_tointeger(L, STATUS))->kind);
    lua_insert(L, -2); /* … kind object */
    set_missing(L, "kind", lua_gettop(L) - 1);
    set_missing(L, "message", TEXT);
    set_missing(L, "traceback", TRACEBACK);
    set_place(L, (int)lua_tointeger(L, STATUS), TEXT, TRACEBACK, lua_tointeger(L, COLUMN));
    /* tables that share others can make an enormous text of a small error */
    if (!(lua_toboolean(L, SCALARS_ONLY) ? json_encode(L, lua_gettop(L), NULL)
                                         : json_encode_short(L, lua_gettop(L))))
        return lua_error(L);
    return 1;
}

/* Pushes the JSON text. When a table in the error object cannot be JSON, all tables are left out.
 * [-0, +1, v] */
static void push_object(lua_State *L, int status, int error, int text, int traceback, int column)
{
    for (int scalars_only = 0; scalars_only <= 1; scalars_only++) {
        int result;
        lua_pushcfunction(L, object_p);
        lua_pushinteger(L, status);
        lua_pushvalue(L, error);
        lua_pushvalue(L, text);
        if (traceback)
            lua_pushvalue(L, traceback);
        else
            lua_pushnil(L);
        lua_pushinteger(L, column);
        lua_pushboolean(L, scalars_only);
        result = lua_pcall(L, 6, 1, 0);
        if (result == LUA_OK)
            return;
        if (scalars_only || result == LUA_ERRMEM)
            lua_error(L);
        lua_pop(L, 1);
    }
}

void last_error_push_json(lua_State *L, int status, int error, int traceback)
{
    error_push_text(L, error);
    push_object(L, status, error, lua_gettop(L), traceback, 0);
    lua_remove(L, -2);
}

const char *last_error_status_json(int status)
{
    return row_of(status)->json;
}

/* ---- setting it ---- */

static void set_error(lua_State *L, modalua_runtime *rt, int status, int error, int traceback,
                      int column)
{
    int text;
    last_error_set_status(rt, status);
    error_push_text(L, error);
    text = lua_gettop(L);
    push_object(L, status, error, text, traceback, column);
    if (traceback && lua_isstring(L, traceback))
        lua_pushfstring(L, "%s\n%s", lua_tostring(L, text), lua_tostring(L, traceback));
    else
        lua_pushvalue(L, text);
    rt->error = kept_set(L, KEPT_ERROR);
    rt->error_json = kept_set(L, KEPT_ERROR_JSON);
    lua_settop(L, text - 1);
}

void last_error_set(lua_State *L, modalua_runtime *rt, int status, int error, int traceback)
{
    set_error(L, rt, status, error, traceback, 0);
}

void last_error_set_syntax(lua_State *L, modalua_runtime *rt, int error, const char *source,
                           size_t size)
{
    int column = source && lua_type(L, error) == LUA_TSTRING
                     ? error_place_column(L, lua_tostring(L, error), source, size)
                     : 0;
    set_error(L, rt, MODALUA_E_SYNTAX, error, 0, column);
}

void last_error_set_message(lua_State *L, modalua_runtime *rt, int status, const char *message)
{
    lua_pushstring(L, message);
    last_error_set(L, rt, status, lua_gettop(L), 0);
    lua_pop(L, 1);
}
