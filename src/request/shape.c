#include "request/shape.h"

#include <lauxlib.h>
#include <string.h>

#include "base/ascii.h"
#include "json/mark.h"
#include "orthanc/routes.h"
#include "orthanc/tags.h"
#include "request/response.h"
#include "request/said.h"

/* ---- the shapes ---- */

typedef enum shape_type {
    TYPE_ANY,
    TYPE_TEXT,
    TYPE_WHOLE_NUMBER,
    TYPE_COUNT,
    TYPE_BOOLEAN,
    TYPE_OBJECT,
    TYPE_EMPTY_OBJECT,
    TYPE_DONE,
    TYPE_LIST
} shape_type;

typedef struct shape_row {
    const char *name, *words;
    shape_type type;
    bool (*is_right)(const char *text); /* of texts; NULL = every text is right */
    shape each;                         /* of lists and objects: what each element is */
} shape_row;

enum { NAME_MAX_LENGTH = 1024 }; /* Orthanc has no limit for the names of modalities */

static bool is_word(const char *text)
{
    static const char word[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    size_t n = strspn(text, word);
    return n > 0 && n <= NAME_MAX_LENGTH && !text[n];
}

/* A name does not begin as a page of HTML or JSON does. */
static bool is_name(const char *text)
{
    size_t n = 0;
    while (text[n] && !ascii_is_control(text[n]))
        n++;
    return n > 0 && n <= NAME_MAX_LENGTH && !text[n] && !strchr("<{[", text[0]);
}

static bool is_level(const char *text)
{
    const char *name = orthanc_level_name(orthanc_level_of(text));
    return name && strcmp(name, text) == 0;
}

/* clang-format off */
static const shape_row rows[] = {
    [SHAPE_ANY] = { "any", "anything", TYPE_ANY, NULL, SHAPE_ANY },
    [SHAPE_TEXT] = { "text", "a text", TYPE_TEXT, NULL, SHAPE_ANY },
    [SHAPE_WORD] = { "word", "a word of letters, digits, '-' and '_'", TYPE_TEXT, is_word, SHAPE_ANY },
    [SHAPE_NAME] = { "name", "a name", TYPE_TEXT, is_name, SHAPE_ANY },
    [SHAPE_LEVEL] = { "level", "a level (Patient, Study, Series or Instance)", TYPE_TEXT, is_level, SHAPE_ANY },
    [SHAPE_UID] = { "UID", "a UID", TYPE_TEXT, orthanc_is_uid, SHAPE_ANY },
    [SHAPE_HANDLE] = { "handle", "the identifier of a query or job", TYPE_TEXT, orthanc_is_handle, SHAPE_ANY },
    [SHAPE_STORED] = { "stored identifier", "an identifier of Orthanc", TYPE_TEXT, orthanc_is_stored_id, SHAPE_ANY },
    [SHAPE_WHOLE_NUMBER] = { "whole number", "a whole number", TYPE_WHOLE_NUMBER, NULL, SHAPE_ANY },
    [SHAPE_COUNT] = { "count", "a whole number, 0 or more", TYPE_COUNT, NULL, SHAPE_ANY },
    [SHAPE_BOOLEAN] = { "boolean", "true or false", TYPE_BOOLEAN, NULL, SHAPE_ANY },
    [SHAPE_OBJECT] = { "object", "an object", TYPE_OBJECT, NULL, SHAPE_ANY },
    [SHAPE_LIST] = { "list", "a list", TYPE_LIST, NULL, SHAPE_ANY },
    [SHAPE_LIST_OF_TEXTS] = { "list of texts", "a list", TYPE_LIST, NULL, SHAPE_TEXT },
    [SHAPE_LIST_OF_HANDLES] = { "list of handles", "a list", TYPE_LIST, NULL, SHAPE_HANDLE },
    [SHAPE_LIST_OF_STORED] = { "list of stored identifiers", "a list", TYPE_LIST, NULL, SHAPE_STORED },
    [SHAPE_LIST_OF_OBJECTS] = { "list of objects", "a list", TYPE_LIST, NULL, SHAPE_OBJECT },
    [SHAPE_OBJECT_OF_TEXTS] = { "object of texts", "an object", TYPE_OBJECT, NULL, SHAPE_TEXT },
    [SHAPE_OBJECT_OF_OBJECTS] = { "object of objects", "an object", TYPE_OBJECT, NULL, SHAPE_OBJECT },
    [SHAPE_EMPTY_OBJECT] = { "empty object", "{}", TYPE_EMPTY_OBJECT, NULL, SHAPE_ANY },
    [SHAPE_DONE] = { "done", "{} or nothing", TYPE_DONE, NULL, SHAPE_ANY },
};
/* clang-format on */

enum { SHAPES = sizeof rows / sizeof rows[0] };

bool shape_is_text(shape s)
{
    return rows[s].type == TYPE_TEXT;
}

/* ---- values ---- */

static bool is_empty_object(lua_State *L, int index)
{
    if (!lua_istable(L, index) || json_mark_is_array(L, index))
        return false;
    lua_pushnil(L);
    if (!lua_next(L, index))
        return true;
    lua_pop(L, 2);
    return false;
}

static bool is_right_text(lua_State *L, int index, const shape_row *row)
{
    size_t size;
    const char *text;
    if (lua_type(L, index) != LUA_TSTRING)
        return false;
    text = lua_tolstring(L, index, &size);
    return !row->is_right || (strlen(text) == size && row->is_right(text));
}

/* Whether the value itself has the shape; its elements are not looked at. */
static bool has_type(lua_State *L, int index, const shape_row *row)
{
    switch (row->type) {
    case TYPE_ANY: return true;
    case TYPE_TEXT: return is_right_text(L, index, row);
    case TYPE_WHOLE_NUMBER: return lua_isinteger(L, index);
    case TYPE_COUNT: return lua_isinteger(L, index) && lua_tointeger(L, index) >= 0;
    case TYPE_BOOLEAN: return lua_isboolean(L, index);
    case TYPE_OBJECT: return lua_istable(L, index) && !json_mark_is_array(L, index);
    case TYPE_EMPTY_OBJECT: return is_empty_object(L, index);
    case TYPE_DONE:
        return is_empty_object(L, index) ||
               (lua_type(L, index) == LUA_TSTRING && lua_rawlen(L, index) == 0);
    case TYPE_LIST: return json_mark_is_array(L, index);
    }
    return false;
}

static bool is_missing(lua_State *L, int index)
{
    return lua_isnil(L, index) || json_mark_is_null(L, index);
}

/* Pushes what the value is, in words. A text is shown where only some texts are right, and a number where
 * only some numbers are. */
static void push_words(lua_State *L, int index, const shape_row *row)
{
    int type = lua_type(L, index);
    bool is_shown =
        type == LUA_TBOOLEAN || (type == LUA_TSTRING && row->type == TYPE_TEXT) ||
        (type == LUA_TNUMBER && (row->type == TYPE_WHOLE_NUMBER || row->type == TYPE_COUNT));
    if (type == LUA_TSTRING && lua_rawlen(L, index) == 0)
        lua_pushliteral(L, "empty");
    else if (is_shown)
        said_push(L, index);
    else if (type == LUA_TTABLE)
        lua_pushstring(L, json_mark_is_array(L, index) ? "a list" : "an object");
    else
        lua_pushstring(L, type == LUA_TNIL      ? "missing"
                          : type == LUA_TNUMBER ? "a number"
                          : type == LUA_TSTRING ? "a text"
                                                : "null");
}

/* ---- differences ----
 *
 * A function that finds one pushes two texts: which value differs (nil: the value itself), and how. */

static bool differs_itself(lua_State *L, int index, const shape_row *row)
{
    if (has_type(L, index, row))
        return false;
    lua_pushnil(L);
    push_words(L, index, row);
    lua_pushfstring(L, "is %s, not %s", lua_tostring(L, -1), row->words);
    lua_remove(L, -2);
    return true;
}

/* The difference on the top is one of a member: of element `number`, or (0) of the member with the name
 * at index `name`. */
static void add_place(lua_State *L, lua_Integer number, int name)
{
    int which = lua_gettop(L) - 1;
    size_t size = 0;
    const char *text = number > 0 ? "" : lua_tolstring(L, name, &size);
    if (number > 0)
        lua_pushfstring(L, "element %I", (LUAI_UACINT)number);
    else
        response_push_quoted(L, text, size);
    if (!lua_isnil(L, which))
        lua_pushfstring(L, "%s of %s", lua_tostring(L, which), lua_tostring(L, -1));
    lua_replace(L, which);
    lua_settop(L, which + 1);
}

/* Moves the difference on the top to the place `first`, where the stack then ends. */
static void keep_difference(lua_State *L, int first)
{
    lua_rotate(L, first, 2);
    lua_settop(L, first + 1);
}

static bool elements_differ(lua_State *L, int list, const shape_row *each)
{
    int top = lua_gettop(L);
    for (lua_Integer i = 1, n = (lua_Integer)lua_rawlen(L, list); i <= n; i++) {
        lua_rawgeti(L, list, i);
        if (differs_itself(L, top + 1, each)) {
            add_place(L, i, 0);
            keep_difference(L, top + 1);
            return true;
        }
        lua_settop(L, top);
    }
    return false;
}

static bool members_differ(lua_State *L, int object, const shape_row *each)
{
    int top = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, object); lua_settop(L, top + 1))
        if (differs_itself(L, top + 2, each)) {
            add_place(L, 0, top + 1);
            keep_difference(L, top + 1);
            return true;
        }
    return false;
}

static bool differs(lua_State *L, int index, shape s)
{
    const shape_row *row = &rows[s], *each = &rows[row->each];
    if (differs_itself(L, index, row))
        return true;
    if (each->type == TYPE_ANY)
        return false;
    return row->type == TYPE_LIST ? elements_differ(L, index, each)
                                  : members_differ(L, index, each);
}

/* Replaces a difference by one text. True, for the callers. */
static bool join_difference(lua_State *L)
{
    int which = lua_gettop(L) - 1;
    lua_pushfstring(L, "%s %s", lua_isnil(L, which) ? "it" : lua_tostring(L, which),
                    lua_tostring(L, which + 1));
    lua_replace(L, which);
    lua_settop(L, which);
    return true;
}

bool shape_differs(lua_State *L, int index, shape s)
{
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    return differs(L, lua_absindex(L, index), s) && join_difference(L);
}

bool shape_member_differs(lua_State *L, int object, const char *name, shape s)
{
    int top = lua_gettop(L);
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    object = lua_absindex(L, object);
    lua_pushstring(L, name);
    lua_getfield(L, object, name);
    if (!differs(L, top + 2, s)) {
        lua_settop(L, top);
        return false;
    }
    add_place(L, 0, top + 1);
    keep_difference(L, top + 1);
    return join_difference(L);
}

/* ---- descriptions ---- */

static bool differs_from(lua_State *L, int index, int description);

/* The shape with the first `size` characters of the name. */
static shape find_shape(lua_State *L, const char *name, size_t size)
{
    int s = 0;
    while (s < SHAPES && (strlen(rows[s].name) != size || memcmp(rows[s].name, name, size) != 0))
        s++;
    if (s == SHAPES)
        luaL_error(L, "there is no shape '%s'", name);
    return (shape)s;
}

shape shape_check_name(lua_State *L, int index)
{
    const char *name = luaL_checkstring(L, index);
    return find_shape(L, name, strlen(name));
}

static bool differs_from_named(lua_State *L, int index, const char *name)
{
    size_t size = strlen(name);
    bool optional = size > 0 && name[size - 1] == '?';
    shape s = find_shape(L, name, size - optional);
    return !(optional && is_missing(L, index)) && differs(L, index, s);
}

/* `each`: the index of the description of all elements. */
static bool list_differs(lua_State *L, int list, int each)
{
    int top = lua_gettop(L);
    if (differs(L, list, SHAPE_LIST))
        return true;
    for (lua_Integer i = 1, n = (lua_Integer)lua_rawlen(L, list); i <= n; i++) {
        lua_rawgeti(L, list, i);
        if (differs_from(L, top + 1, each)) {
            add_place(L, i, 0);
            keep_difference(L, top + 1);
            return true;
        }
        lua_settop(L, top);
    }
    return false;
}

/* Removes the members that are null where they may be. */
static bool object_differs(lua_State *L, int object, int members)
{
    enum { NAME = 1, EACH, VALUE };
    int top = lua_gettop(L);
    if (differs(L, object, SHAPE_OBJECT))
        return true;
    for (lua_pushnil(L); lua_next(L, members); lua_settop(L, top + NAME)) {
        lua_pushvalue(L, top + NAME);
        lua_rawget(L, object);
        if (differs_from(L, top + VALUE, top + EACH)) {
            add_place(L, 0, top + NAME);
            keep_difference(L, top + 1);
            return true;
        }
        if (json_mark_is_null(L, top + VALUE)) {
            lua_pushvalue(L, top + NAME);
            lua_pushnil(L);
            lua_rawset(L, object);
        }
    }
    return false;
}

static bool differs_from(lua_State *L, int index, int description)
{
    int top = lua_gettop(L);
    bool differ;
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    if (lua_type(L, description) == LUA_TSTRING)
        return differs_from_named(L, index, lua_tostring(L, description));
    luaL_checktype(L, description, LUA_TTABLE);
    if (lua_getfield(L, description, "each") == LUA_TNIL)
        differ = object_differs(L, index, description);
    else
        differ = list_differs(L, index, top + 1);
    lua_remove(L, top + 1);
    return differ;
}

bool shape_differs_from(lua_State *L, int index, int description)
{
    index = lua_absindex(L, index);
    description = lua_absindex(L, description);
    return differs_from(L, index, description) && join_difference(L);
}
