#include "binding/error.h"

#include <lauxlib.h>
#include <stdarg.h>
#include <string.h>

#include "binding/fields.h"

#define ERROR_TYPE "modalua.Error"

static const char metatable_key; /* its address is the place of the metatable in the registry */
static const char usage_key;     /* that of the text of the last usage error */

void error_raise(lua_State *L)
{
    lua_error(L);
    __builtin_unreachable();
}

/* ---- the object ---- */

/* On one line: "get /system: the server … (script.lua:3)". */
static int error_l_tostring(lua_State *L)
{
    luaL_Buffer b;
    lua_settop(L, 1);
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_getfield(L, 1, "op");      /* 2 */
    lua_getfield(L, 1, "path");    /* 3 */
    lua_getfield(L, 1, "message"); /* 4 */
    lua_getfield(L, 1, "where");   /* 5 */
    luaL_buffinit(L, &b);
    if (lua_isstring(L, 2)) {
        lua_pushvalue(L, 2);
        luaL_addvalue(&b);
        if (lua_isstring(L, 3)) {
            luaL_addchar(&b, ' ');
            lua_pushvalue(L, 3);
            luaL_addvalue(&b);
        }
        luaL_addstring(&b, ": ");
    }
    luaL_tolstring(L, 4, NULL);
    luaL_addvalue(&b);
    if (lua_isstring(L, 5)) {
        lua_pushvalue(L, 5);
        lua_pushfstring(L, " (%s)", lua_tostring(L, -1));
        lua_remove(L, -2);
        luaL_addvalue(&b);
    }
    luaL_pushresult(&b);
    error_make_shown(L, SHOWN_LINE); /* a field may have been changed since */
    return 1;
}

static const field_row fields[] = {
    { "kind",
      "string: network, timeout, http, auth, orthanc, dicom, decode, refused, unknown, host …" },
    { "code", "string: what it is more precisely, such as \"no_connection\"" },
    { "message", "string: what is wrong, in one line" },
    { "op", "string: the function that failed" },
    { "method", "string: the method of the HTTP request" },
    { "path", "string: the path of the HTTP request" },
    { "where", "string: the line of the script, such as \"script.lua:12\"" },
    { "status", "integer: the status of the HTTP answer" },
    { "orthanc_status", "integer: Orthanc's own number of the error" },
    { "dimse_status", "integer: the status of the modality's answer, such as 0xA801" },
    { "details", "string: what the server says about it" },
    { "job", "string: identifier of the job on the server" },
    { "result", "the result of the job, or what is known of it" },
    { "retryable", "boolean: true: the same call may succeed later" },
    { "retry_after", "integer: seconds after which the server wants to be asked again" },
    { "tries", "integer: how often the request was sent" },
    { "file", "string: the file that was read or written" },
    { "found", "the answers that were found before the failure" },
    { "missing", "list of what was not found, or has not arrived" },
    { "errors", "from an item to its own error" },
    { "outcomes", "list of what became of each resource" },
    { "parent", "the answer below which the search failed" },
    { "unproven", "list of what cannot be proven" },
    { "unreadable", "list of the dates of which answers are missing" },
    { "position", "integer: the place of the wrong value in its list" },
    { "value", "the wrong value" },
    { "still_running", "true: the operation goes on at the server" },
    { "summary", "what a transfer has done" },
    { "absent", "true: there is no ledger yet" },
    FIELDS_END
};

static const object_kind object = { "error", "an error", fields };

static int error_l_index(lua_State *L)
{
    return fields_end_index(L, 0);
}

static void error_push_metatable(lua_State *L)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &metatable_key) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_createtable(L, 0, 5);
    fields_describe(L, &object);
    lua_pushcfunction(L, error_l_index);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, error_l_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pushliteral(L, ERROR_TYPE);
    lua_setfield(L, -2, "__metatable");
    lua_pushliteral(L, ERROR_TYPE);
    lua_setfield(L, -2, "__name");
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &metatable_key);
}

/* Chunks of the Lua half are named "=modalua…". */
bool error_find_line(lua_State *L, lua_Debug *ar)
{
    for (int level = 0; lua_getstack(L, level, ar); level++) {
        lua_getinfo(L, "Sl", ar);
        if (ar->currentline > 0 && strncmp(ar->source, "=modalua", 8) != 0)
            return true;
    }
    return false;
}

/* Pushes the innermost line of a script, such as "script.lua:12"; nil: there is none. [-0, +1, m] */
static void error_push_where(lua_State *L)
{
    lua_Debug ar;
    if (error_find_line(L, &ar))
        lua_pushfstring(L, "%s:%d", ar.short_src, ar.currentline);
    else
        lua_pushnil(L);
}

void error_from_message(lua_State *L, const char *kind, const char *code)
{
    error_make_shown(L, SHOWN_LINE);
    lua_createtable(L, 0, 12);
    lua_insert(L, -2);
    lua_setfield(L, -2, "message");
    error_set(L, "kind", kind);
    error_set(L, "code", code);
    error_push_where(L);
    lua_setfield(L, -2, "where");
    error_push_metatable(L);
    lua_setmetatable(L, -2);
}

static void push_error(lua_State *L, const char *kind, const char *code, const char *format,
                       va_list args)
{
    lua_pushvfstring(L, format, args);
    error_from_message(L, kind, code);
}

void error_new(lua_State *L, const char *kind, const char *code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    push_error(L, kind, code, format, args);
    va_end(args);
}

void error_throw(lua_State *L, const char *kind, const char *code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    push_error(L, kind, code, format, args);
    va_end(args);
    error_raise(L);
}

void error_usage(lua_State *L, const char *format, ...)
{
    va_list args;
    error_push_where(L);
    va_start(args, format);
    lua_pushvfstring(L, format, args);
    va_end(args);
    if (lua_isstring(L, -2))
        lua_pushfstring(L, "%s: %s", lua_tostring(L, -2), lua_tostring(L, -1));
    error_make_shown(L, SHOWN_LINE);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &usage_key);
    error_raise(L);
}

int error_l_fail(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1), *kind = luaL_checkstring(L, 2);
    const char *code = luaL_optstring(L, 3, NULL);
    luaL_checkstring(L, 4);
    lua_settop(L, 4);
    error_from_message(L, kind, code);
    error_set(L, "op", name);
    return 1;
}

int error_l_usage(lua_State *L)
{
    error_usage(L, "%s", luaL_checkstring(L, 1));
}

int error_l_is_usage(lua_State *L)
{
    luaL_checkany(L, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &usage_key);
    lua_pushboolean(L, !lua_isnil(L, -1) && lua_rawequal(L, 1, -1));
    return 1;
}

int error_l_is(lua_State *L)
{
    luaL_checkany(L, 1);
    lua_pushboolean(L, error_is(L, 1));
    return 1;
}

/* Pushes a field of a table when it is a text or a number; otherwise nil. Returns whether it is one. [-0, +1, m] */
static bool push_plain(lua_State *L, int table, const char *name)
{
    lua_pushstring(L, name);
    lua_rawget(L, table);
    if (lua_isstring(L, -1))
        return true;
    lua_pop(L, 1);
    lua_pushnil(L);
    return false;
}

/* Pushes the text of a table that has no __tostring: "the disk is full (kind storage, code full)". [-0, +1, m] */
static void push_table_text(lua_State *L, int table)
{
    int kind = lua_gettop(L) + 1, code = kind + 1, message = code + 1;
    bool has_kind = push_plain(L, table, "kind"), has_code = push_plain(L, table, "code");
    if (!push_plain(L, table, "message")) {
        lua_pushliteral(L, "(error object is a table value)");
        lua_replace(L, message);
    }
    if (has_kind || has_code) {
        lua_pushfstring(L, "%s (%s%s%s%s%s)", lua_tostring(L, message), has_kind ? "kind " : "",
                        has_kind ? lua_tostring(L, kind) : "", has_kind && has_code ? ", " : "",
                        has_code ? "code " : "", has_code ? lua_tostring(L, code) : "");
        lua_replace(L, message);
    }
    lua_replace(L, kind);
    lua_settop(L, kind);
    lua_tostring(L, kind); /* a number becomes a text */
}

static void push_type(lua_State *L, int index)
{
    lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, index));
}

/* Calls the method __tostring on the top, and pushes the text that it returns or throws. False: it gave none, and
 * nothing is pushed. [-1, +(0|1), m] */
static bool push_own_text(lua_State *L, int index)
{
    lua_pushvalue(L, index);
    lua_pcall(L, 1, 1, 0);
    if (lua_type(L, -1) == LUA_TSTRING)
        return true;
    lua_pop(L, 1);
    return false;
}

void error_push_text(lua_State *L, int index)
{
    index = lua_absindex(L, index);
    luaL_checkstack(L, 8, "an error");
    if (lua_isstring(L, index)) {
        lua_pushvalue(L, index);
        lua_tostring(L, -1);
    } else if (luaL_getmetafield(L, index, "__tostring") != LUA_TNIL) {
        if (!push_own_text(L, index))
            push_type(L, index);
    } else if (lua_istable(L, index)) {
        push_table_text(L, index);
    } else {
        push_type(L, index);
    }
}

int error_l_text(lua_State *L)
{
    luaL_checkany(L, 1);
    error_push_text(L, 1);
    error_make_shown(L, SHOWN_LINE);
    return 1;
}

void error_set(lua_State *L, const char *field, const char *value)
{
    if (!value)
        return;
    lua_pushstring(L, value);
    lua_setfield(L, -2, field);
}

void error_make_shown(lua_State *L, shown_style style)
{
    size_t size;
    const char *at = lua_tolstring(L, -1, &size), *end = at + size, *piece;
    char escape[SHOWN_ESCAPE];
    luaL_Buffer b;
    if (shown_harmless(at, size, style) == size)
        return;
    luaL_buffinit(L, &b);
    while ((piece = shown_next(&at, end, style, escape, &size)))
        luaL_addlstring(&b, piece, size);
    luaL_pushresult(&b);
    lua_remove(L, -2);
}

void error_push_redacted(lua_State *L, const char *text)
{
    static const char mark[] = "://";
    luaL_Buffer b;
    const char *at;
    luaL_buffinit(L, &b);
    while ((at = strstr(text, mark))) {
        size_t host, last;
        at += sizeof mark - 1;
        luaL_addlstring(&b, text, (size_t)(at - text));
        host = last = strcspn(at, " \t\r\n\"<>"); /* a password may have a '/' or "'" */
        while (last > 0 && at[last - 1] != '@')
            last--;
        if (last > 0)
            luaL_addstring(&b, "…@");
        if (host > last && at[host - 1] == ':')
            host--; /* it may begin the next mark: http://http://user:password@host */
        luaL_addlstring(&b, at + last, host - last);
        text = at + host;
    }
    luaL_addstring(&b, text);
    luaL_pushresult(&b);
}

void error_set_integer(lua_State *L, const char *field, lua_Integer value)
{
    lua_pushinteger(L, value);
    lua_setfield(L, -2, field);
}

bool error_is(lua_State *L, int index)
{
    bool same;
    if (!lua_istable(L, index) || !lua_getmetatable(L, index))
        return false;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &metatable_key); /* must not throw: task_turn asks too */
    same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same;
}

static bool has_field(lua_State *L, int index, const char *name, const char *value)
{
    bool same;
    if (!error_is(L, index))
        return false;
    lua_getfield(L, index, name);
    same = lua_isstring(L, -1) && strcmp(lua_tostring(L, -1), value) == 0;
    lua_pop(L, 1);
    return same;
}

bool error_is_kind(lua_State *L, int index, const char *kind)
{
    return has_field(L, index, "kind", kind);
}

bool error_is_code(lua_State *L, int index, const char *code)
{
    return has_field(L, index, "code", code);
}
