#include "binding/fields.h"

#include <lauxlib.h>
#include <stdbool.h>
#include <string.h>

#include "base/nearest.h"
#include "binding/error.h"

static const char rows_key; /* its address is a key of the metatables that have rows */

void fields_describe(lua_State *L, const field_row *rows)
{
    lua_pushlightuserdata(L, (void *)rows);
    lua_rawsetp(L, -2, &rows_key);
}

static bool has_field(const field_row *rows, const char *name)
{
    for (; rows && rows->name; rows++)
        if (strcmp(rows->name, name) == 0)
            return true;
    return false;
}

static void search_methods(lua_State *L, int methods, nearest *n)
{
    for (lua_pushnil(L); lua_next(L, methods); lua_pop(L, 1)) {
        const char *name[] = { lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL, NULL };
        nearest_search(n, name, sizeof *name);
    }
}

int fields_end_index(lua_State *L, const char *word, const field_row *rows, int methods)
{
    const char *article = strchr("aeiou", word[0]) ? "an" : "a";
    nearest n;
    if (lua_type(L, 2) != LUA_TSTRING) {
        luaL_tolstring(L, 2, NULL);
        error_usage(L, "%s %s has no field [%s]", article, word, lua_tostring(L, -1));
    }
    if (has_field(rows, lua_tostring(L, 2)))
        return 0;
    n = nearest_for(lua_tostring(L, 2));
    if (rows)
        nearest_search(&n, rows, sizeof *rows);
    if (methods != 0)
        search_methods(L, methods, &n);
    if (n.name)
        error_usage(L, "%s %s has no '%s'; did you mean '%s'?", article, word, n.word, n.name);
    error_usage(L, "%s %s has no '%s'", article, word, n.word);
}

int fields_l_of(lua_State *L)
{
    const field_row *rows;
    luaL_checkany(L, 1);
    if (!lua_getmetatable(L, 1))
        return 0;
    lua_rawgetp(L, -1, &rows_key);
    rows = lua_touserdata(L, -1);
    if (!rows)
        return 0;
    lua_newtable(L);
    for (lua_Integer i = 1; rows->name; rows++, i++) {
        lua_createtable(L, 0, 2);
        lua_pushstring(L, rows->name);
        lua_setfield(L, -2, "name");
        lua_pushstring(L, rows->help);
        lua_setfield(L, -2, "help");
        lua_rawseti(L, -2, i);
    }
    return 1;
}
