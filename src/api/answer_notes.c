#include "api/answer_notes.h"

#include <lauxlib.h>

#include "binding/fields.h"
#include "binding/userdata.h"
#include "json/mark.h"

/* Pops the text on the top and adds it to the text below, behind "; ". */
static void append(lua_State *L)
{
    size_t before;
    lua_tolstring(L, -2, &before);
    if (before > 0) {
        lua_pushliteral(L, "; ");
        lua_insert(L, -2);
        lua_concat(L, 3);
    } else {
        lua_remove(L, -2);
    }
}

/* Pushes the sorted keys of the table on the top as a list. */
static void push_sorted_keys(lua_State *L)
{
    int t = lua_gettop(L), keys = t + 1;
    lua_Integer n = 0;
    lua_newtable(L);
    for (lua_pushnil(L); lua_next(L, t); lua_settop(L, keys + 1)) {
        lua_Integer at = ++n;
        lua_pop(L, 1);
        for (; at > 1; at--) { /* there are few */
            lua_rawgeti(L, keys, at - 1);
            if (lua_compare(L, -1, keys + 1, LUA_OPLE)) {
                lua_pop(L, 1);
                break;
            }
            lua_rawseti(L, keys, at);
        }
        lua_pushvalue(L, keys + 1);
        lua_rawseti(L, keys, at);
    }
}

static void append_ignored(lua_State *L, int ignored)
{
    int keys;
    lua_pushvalue(L, ignored);
    push_sorted_keys(L);
    lua_remove(L, -2);
    keys = lua_gettop(L);
    for (lua_Integer i = 1, n = (lua_Integer)lua_rawlen(L, keys); i <= n; i++) {
        lua_pushvalue(L, keys - 1);
        lua_rawgeti(L, keys, i);
        lua_pushvalue(L, -1);
        lua_rawget(L, ignored);
        lua_pushfstring(
            L,
            "the modality gave answers that contradict the filter %s, which were removed "
            "(%I)",
            lua_tostring(L, -2), (LUAI_UACINT)lua_tointeger(L, -1));
        lua_replace(L, -3);
        lua_pop(L, 1);
        append(L);
        lua_replace(L, keys - 1);
    }
    lua_settop(L, keys - 1);
}

static void append_unproven(lua_State *L, int unproven)
{
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    luaL_addstring(&b, "the answers do not show ");
    for (lua_Integer i = 1, n = (lua_Integer)lua_rawlen(L, unproven); i <= n; i++) {
        if (i > 1)
            luaL_addstring(&b, i == n ? " and " : ", ");
        lua_rawgeti(L, unproven, i);
        luaL_addvalue(&b);
    }
    luaL_addstring(&b,
                   ", so the modality may have ignored that filter, and found more than was asked");
    luaL_pushresult(&b);
    append(L);
}

static void append_unreadable(lua_State *L, int unreadable)
{
    enum { SHOWN = 10 };
    luaL_Buffer b;
    lua_Integer n = (lua_Integer)lua_rawlen(L, unreadable);
    luaL_buffinit(L, &b);
    luaL_addstring(&b, "answers are missing, because this version of Orthanc does not know their "
                       "character set: those with StudyDate ");
    for (lua_Integer i = 1; i <= n && i <= SHOWN; i++) {
        if (i > 1)
            luaL_addstring(&b, ", ");
        lua_rawgeti(L, unreadable, i);
        luaL_addvalue(&b);
    }
    if (n > SHOWN)
        luaL_addstring(&b, " and others (found.unreadable has all)");
    luaL_pushresult(&b);
    append(L);
}

void answer_notes_push_warning(lua_State *L, int notes)
{
    int text = lua_gettop(L) + 1, field = text + 1;
    luaL_checkstack(L, LUA_MINSTACK, "notes");
    lua_pushliteral(L, "");
    if (lua_getfield(L, notes, "ignored") == LUA_TTABLE) {
        lua_pushvalue(L, text);
        append_ignored(L, field);
        lua_replace(L, text);
    }
    lua_settop(L, text);
    if (lua_getfield(L, notes, "unproven") == LUA_TTABLE) {
        lua_pushvalue(L, text);
        append_unproven(L, field);
        lua_replace(L, text);
    }
    lua_settop(L, text);
    if (lua_getfield(L, notes, "unreadable") == LUA_TTABLE) {
        lua_pushvalue(L, text);
        append_unreadable(L, field);
        lua_replace(L, text);
    }
    lua_settop(L, text);
    if (lua_getfield(L, notes, "odd") == LUA_TSTRING)
        append(L);
    lua_settop(L, text);
    if (lua_getfield(L, notes, "characters") == LUA_TSTRING)
        append(L);
    lua_settop(L, text);
    if (lua_rawlen(L, text) == 0) {
        lua_pushnil(L);
        lua_replace(L, text);
    }
}

void answer_notes_complete(lua_State *L)
{
    answer_notes_push_warning(L, lua_gettop(L));
    lua_setfield(L, -2, "warning");
}

static const field_row fields[] = { ANSWER_NOTES_ROWS, FIELDS_END };

static const object_kind kind = { "list", "a list of answers", fields };

/* A field of the notes, which are upvalue 2 (as the methods of a userdata: binding/userdata.h). */
static int notes_l_index(lua_State *L)
{
    lua_settop(L, 2);
    lua_pushvalue(L, 2);
    return lua_rawget(L, USERDATA_METHODS) != LUA_TNIL ? 1 : fields_end_list_index(L);
}

void answer_notes_attach(lua_State *L)
{
    int list = lua_gettop(L) - 1, notes = list + 1;
    answer_notes_complete(L);
    lua_pushvalue(L, list);
    json_mark_own_array(L);
    fields_describe(L, &kind);
    lua_pushnil(L);
    lua_pushvalue(L, notes);
    lua_pushcclosure(L, notes_l_index, USERDATA_UPVALUES);
    lua_setfield(L, -2, "__index");
    lua_settop(L, list);
}
