/* json/mark.h - what Lua's types cannot express: whether a table is a JSON array or a JSON object,
 * which its metatable marks, and null. */
#ifndef JSON_MARK_H
#define JSON_MARK_H

#include <lua.h>
#include <stdbool.h>

typedef enum json_mark {
    JSON_MARK_NONE, /* no metatable */
    JSON_MARK_ARRAY,
    JSON_MARK_OBJECT,
    JSON_MARK_FOREIGN /* another metatable */
} json_mark;

/* Gives the table on the top the metatable of json.array or json.object, so that it encodes as []
 * or {} even when empty. [-0, +0, m] */
void json_mark_array(lua_State *L);
void json_mark_object(lua_State *L);

/* Marks the list on the top as an array by a metatable of its own, and pushes that. [-0, +1, m] */
void json_mark_own_array(lua_State *L);

/* Which mark the table at index has. [-0, +0, -] */
json_mark json_mark_of(lua_State *L, int index);

/* Whether the value at index is a table that is marked as an array. [-0, +0, -] */
bool json_mark_is_array(lua_State *L, int index);

/* Removes the members that are null from the table on the top. [-0, +0, -] */
void json_mark_drop_nulls(lua_State *L);

/* Pushes json.null, which is lua-cjson's: the light userdata NULL. [-0, +1, -] */
void json_mark_push_null(lua_State *L);

/* Whether the value at index is json.null. [-0, +0, -] */
bool json_mark_is_null(lua_State *L, int index);

#endif
