/* json/mark.h - what Lua cannot tell by itself: which table is a JSON array and which an object, and
 * null. */
#ifndef JSON_MARK_H
#define JSON_MARK_H

#include <lua.h>
#include <stdbool.h>

typedef enum lmark {
    LMARK_NONE, /* no metatable */
    LMARK_ARRAY,
    LMARK_OBJECT,
    LMARK_FOREIGN /* some other metatable: no business of ours */
} lmark;

/* Gives the table on the top the metatable of json.array or json.object, so that it encodes as []
 * or {} even when empty. [-0, +0, m] */
void lmark_array(lua_State *L);
void lmark_object(lua_State *L);

/* Which mark the table at index has. [-0, +0, -] */
lmark lmark_of(lua_State *L, int index);

/* Takes the members that are null out of the table on the top. [-0, +0, -] */
void lmark_drop_nulls(lua_State *L);

/* Pushes json.null, which is lua-cjson's: the light userdata NULL. [-0, +1, -] */
void lmark_push_null(lua_State *L);

/* Whether the value at index is json.null. [-0, +0, -] */
bool lmark_is_null(lua_State *L, int index);

#endif
