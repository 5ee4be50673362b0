#include "binding/fields.h"

#include <lauxlib.h>
#include <stdbool.h>
#include <string.h>

#include "base/nearest.h"
#include "binding/error.h"

enum { LEAST_MISSPELT = 5 }; /* the characters of a name for which a list throws "did you mean" */

static const char kind_key; /* its address is a key of the metatables of the objects */
static const field_row no_fields[] = { FIELDS_END };

void fields_describe(lua_State *L, const object_kind *kind)
{
    lua_pushlightuserdata(L, (void *)kind);
    lua_rawsetp(L, -2, &kind_key);
}

/* The kind of the value at index; NULL: it is no object of modalua. [-0, +0, -] */
static const object_kind *kind_of(lua_State *L, int index)
{
    const object_kind *kind;
    if (!lua_getmetatable(L, index))
        return NULL;
    lua_rawgetp(L, -1, &kind_key);
    kind = lua_touserdata(L, -1);
    lua_pop(L, 2);
    return kind;
}

static const field_row *rows_of(const object_kind *kind)
{
    return kind->fields ? kind->fields : no_fields;
}

static bool has_field(const object_kind *kind, const char *name)
{
    for (const field_row *row = rows_of(kind); row->name; row++)
        if (strcmp(row->name, name) == 0)
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

/* The method or field of the kind that the name at index 2 most likely means. */
static nearest nearest_of(lua_State *L, const object_kind *kind, int methods)
{
    nearest n = nearest_for(lua_tostring(L, 2));
    nearest_search(&n, rows_of(kind), sizeof(field_row));
    if (methods != 0)
        search_methods(L, methods, &n);
    return n;
}

int fields_end_index(lua_State *L, int methods)
{
    const object_kind *kind = kind_of(L, 1);
    nearest n;
    if (!kind) /* a script has called the metamethod with another value */
        return 0;
    if (lua_type(L, 2) != LUA_TSTRING) {
        luaL_tolstring(L, 2, NULL);
        error_usage(L, "%s has no field [%s]", kind->noun, lua_tostring(L, -1));
    }
    if (has_field(kind, lua_tostring(L, 2)))
        return 0;
    n = nearest_of(L, kind, methods);
    if (n.name)
        error_usage(L, "%s has no '%s'; did you mean '%s'?", kind->noun, n.word, n.name);
    error_usage(L, "%s has no '%s'", kind->noun, n.word);
}

/* A short name, such as `add`, is near to `odd`: code that looks in any table for it must not fail. */
int fields_end_list_index(lua_State *L)
{
    const object_kind *kind = kind_of(L, 1);
    nearest n;
    if (!kind || lua_type(L, 2) != LUA_TSTRING || lua_rawlen(L, 2) < LEAST_MISSPELT ||
        has_field(kind, lua_tostring(L, 2)))
        return 0;
    n = nearest_of(L, kind, 0);
    if (n.name)
        error_usage(L, "%s has no '%s'; did you mean '%s'?", kind->noun, n.word, n.name);
    return 0;
}

int fields_l_of(lua_State *L)
{
    const object_kind *kind;
    lua_Integer n = 0;
    luaL_checkany(L, 1);
    kind = kind_of(L, 1);
    if (!kind)
        return 0;
    lua_newtable(L);
    for (const field_row *row = rows_of(kind); row->name; row++) {
        lua_createtable(L, 0, 2);
        lua_pushstring(L, row->name);
        lua_setfield(L, -2, "name");
        lua_pushstring(L, row->help);
        lua_setfield(L, -2, "help");
        lua_rawseti(L, -2, ++n);
    }
    return 1;
}

int fields_l_kind(lua_State *L)
{
    const object_kind *kind;
    luaL_checkany(L, 1);
    kind = kind_of(L, 1);
    lua_pushstring(L, kind ? kind->name : NULL);
    return 1;
}
