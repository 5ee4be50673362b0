#include "binding/options.h"

#include <lauxlib.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/nearest.h"
#include "binding/error.h"

const option options_extra = { "extra", OPTION_TABLE, 0,
                               "keys that modalua does not know; they are sent unchecked" };

const char *options_type_name(option_type type)
{
    switch (type) {
    case OPTION_STRING: return "string";
    case OPTION_SECONDS: return "seconds";
    case OPTION_COUNT:
    case OPTION_NUMBER: return "integer";
    case OPTION_FLAG: return "boolean";
    case OPTION_TABLE: return "table";
    case OPTION_VALUE: break;
    }
    return NULL;
}

/* ---- unknown names ---- */

/* Pushes "a, b and c". [-0, +1, m] */
static void push_names(lua_State *L, const option *rows)
{
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (size_t i = 0; rows[i].name; i++) {
        if (i > 0)
            luaL_addstring(&b, rows[i + 1].name ? ", " : " and ");
        luaL_addstring(&b, rows[i].name);
    }
    luaL_pushresult(&b);
}

static _Noreturn void throw_unknown_option(lua_State *L, const char *function, const char *key,
                                           const option *rows)
{
    nearest h = nearest_for(key);
    nearest_search(&h, rows, sizeof *rows);
    if (h.name)
        error_usage(L, "%s: unknown option '%s'; did you mean '%s'?", function, key, h.name);
    push_names(L, rows);
    error_usage(L, "%s: unknown option '%s'; the options are %s", function, key,
                lua_tostring(L, -1));
}

/* ---- values ---- */

static _Noreturn void throw_wrong_value(lua_State *L, const char *function, const char *name,
                                        const char *wanted)
{
    error_usage(L, "%s: option '%s' must be %s (a %s was given)", function, name, wanted,
                luaL_typename(L, -1));
}

static void read_seconds(lua_State *L, const char *function, const option *row, double *into)
{
    lua_Number seconds = lua_tonumber(L, -1);
    if (lua_type(L, -1) != LUA_TNUMBER || !(seconds > 0))
        throw_wrong_value(L, function, row->name,
                          "a number of seconds above 0, or math.huge for no limit");
    *into = seconds == HUGE_VAL ? 0 : seconds;
}

static void read_count(lua_State *L, const char *function, const option *row, unsigned *into)
{
    int is_integer = 0, least = row->type == OPTION_COUNT;
    lua_Integer count = lua_tointegerx(L, -1, &is_integer);
    if (lua_type(L, -1) != LUA_TNUMBER || !is_integer || count < least || count > 1000000)
        throw_wrong_value(L, function, row->name,
                          least ? "a whole number, 1 or more" : "a whole number, 0 or more");
    *into = (unsigned)count;
}

void options_value(lua_State *L, const char *function, const option *row, void *into)
{
    void *field = (char *)into + row->offset;
    switch (row->type) {
    case OPTION_STRING:
        if (lua_type(L, -1) != LUA_TSTRING || strlen(lua_tostring(L, -1)) != lua_rawlen(L, -1))
            throw_wrong_value(L, function, row->name, "a string without NUL");
        *(const char **)field = lua_tostring(L, -1);
        break;
    case OPTION_SECONDS: read_seconds(L, function, row, field); break;
    case OPTION_COUNT:
    case OPTION_NUMBER: read_count(L, function, row, field); break;
    case OPTION_FLAG:
        if (!lua_isboolean(L, -1))
            throw_wrong_value(L, function, row->name, "true or false");
        *(bool *)field = lua_toboolean(L, -1);
        break;
    case OPTION_TABLE:
        if (!lua_istable(L, -1))
            throw_wrong_value(L, function, row->name, "a table");
        break;
    case OPTION_VALUE: break;
    }
}

const option *options_find(const option *rows, const char *key)
{
    for (; rows->name; rows++)
        if (strcmp(rows->name, key) == 0)
            return rows;
    return NULL;
}

void options_check_plain(lua_State *L, int index, const char *function, const char *what)
{
    static const char *const fields[] = { "__index", "__pairs" };
    for (size_t i = 0; i < 2; i++)
        if (luaL_getmetafield(L, index, fields[i]) != LUA_TNIL)
            error_usage(
                L, "%s: %s must be a plain table (its metatable has %s, which would be ignored)",
                function, what, fields[i]);
}

void options_read(lua_State *L, int index, const char *function, const option *rows, void *into)
{
    index = lua_absindex(L, index);
    if (lua_isnoneornil(L, index))
        return;
    if (!lua_istable(L, index))
        error_usage(L, "%s: options must be a table (a %s was given)", function,
                    luaL_typename(L, index));
    options_check_plain(L, index, function, "the table of options");
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        const option *row;
        if (lua_type(L, -2) != LUA_TSTRING)
            error_usage(L, "%s: an option's name must be a string (a %s was given)", function,
                        luaL_typename(L, -2));
        row = options_find(rows, lua_tostring(L, -2));
        if (!row)
            throw_unknown_option(L, function, lua_tostring(L, -2), rows);
        options_value(L, function, row, into);
    }
}
