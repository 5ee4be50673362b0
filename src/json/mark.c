#include "json/mark.h"

#include <stdbool.h>

/* Their addresses are places in the registry. */
static const char array_key, object_key;

/* Pushes the metatable of json.array or json.object, made at the first use. [-0, +1, m] */
static void mark_push_metatable(lua_State *L, const char *key, const char *name)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, key) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_createtable(L, 0, 2);
    lua_pushstring(L, name);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "__name");
    lua_setfield(L, -2, "__metatable"); /* what getmetatable returns */
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, key);
}

void json_mark_array(lua_State *L)
{
    mark_push_metatable(L, &array_key, "json.array");
    lua_setmetatable(L, -2);
}

void json_mark_object(lua_State *L)
{
    mark_push_metatable(L, &object_key, "json.object");
    lua_setmetatable(L, -2);
}

/* The metatable has the same fields as that of json.array. */
void json_mark_own_array(lua_State *L)
{
    int list = lua_gettop(L), own = list + 1;
    lua_createtable(L, 0, 5);
    mark_push_metatable(L, &array_key, "json.array");
    for (lua_pushnil(L); lua_next(L, own + 1);) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, own);
    }
    lua_rawsetp(L, own, &array_key); /* the metatable of json.array */
    lua_pushvalue(L, own);
    lua_setmetatable(L, list);
}

json_mark json_mark_of(lua_State *L, int index)
{
    json_mark mark = JSON_MARK_FOREIGN;
    if (!lua_getmetatable(L, index))
        return JSON_MARK_NONE;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &array_key);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &object_key); /* metatable array object */
    lua_rawgetp(L, -3, &array_key);                 /* … note */
    if (lua_rawequal(L, -4, -3) || !lua_isnil(L, -1))
        mark = JSON_MARK_ARRAY;
    else if (lua_rawequal(L, -4, -2))
        mark = JSON_MARK_OBJECT;
    lua_pop(L, 4);
    return mark;
}

void json_mark_push_null(lua_State *L)
{
    lua_pushlightuserdata(L, NULL);
}

bool json_mark_is_array(lua_State *L, int index)
{
    return lua_istable(L, index) && json_mark_of(L, index) == JSON_MARK_ARRAY;
}

bool json_mark_is_null(lua_State *L, int index)
{
    return lua_islightuserdata(L, index) && !lua_touserdata(L, index);
}

void json_mark_drop_nulls(lua_State *L)
{
    for (lua_pushnil(L); lua_next(L, -2);) {
        bool null = json_mark_is_null(L, -1);
        lua_pop(L, 1);
        if (null) {
            lua_pushvalue(L, -1);
            lua_pushnil(L);
            lua_rawset(L, -4); /* an existing key may be cleared during a traversal */
        }
    }
}
