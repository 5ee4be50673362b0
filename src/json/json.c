#include "json/json.h"

#include <lauxlib.h>
#include <string.h>

#include "binding/doc.h"
#include "binding/error.h"
#include "json/decode.h"
#include "json/encode.h"
#include "json/mark.h"

static int l_decode(lua_State *L)
{
    const char *text;
    luaL_checktype(L, 1, LUA_TSTRING);
    lua_settop(L, 1);
    if (json_decode_at(L, doc_upvalue(L), 1))
        return 1;
    text = lua_tostring(L, -1);
    lua_pushnil(L);
    error_new(L, "decode", NULL, "%s", text);
    return 2;
}

/* Replaces the option `indent` on the top, a string or a number, by the string of one level. */
static const char *check_indent(lua_State *L)
{
    lua_Integer spaces;
    if (lua_type(L, -1) == LUA_TSTRING) {
        const char *text = lua_tostring(L, -1);
        luaL_argcheck(L, text[strspn(text, " \t")] == '\0' && lua_rawlen(L, -1) == strlen(text), 2,
                      "indent must be spaces or tabs");
        return text;
    }
    luaL_argcheck(L, lua_isinteger(L, -1), 2, "indent must be a string or a number of spaces");
    spaces = lua_tointeger(L, -1);
    luaL_argcheck(L, spaces >= 0 && spaces <= 16, 2, "indent must be 0 to 16 spaces");
    lua_pushlstring(L, "                ", (size_t)spaces);
    return lua_tostring(L, -1);
}

static const option encode_rows[] = {
    { "indent", OPTION_VALUE, 0,
      "string of spaces or tabs, or a number of spaces; one line without it" },
    OPTIONS_END
};

/* Returns the option `indent` of the table at 2 as a string, which is on the top; NULL: there is
 * none. */
static const char *check_encode_options(lua_State *L)
{
    if (lua_isnoneornil(L, 2))
        return NULL;
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_pushnil(L);
    while (lua_next(L, 2)) {
        lua_pop(L, 1);
        if (lua_type(L, -1) != LUA_TSTRING || !options_find(encode_rows, lua_tostring(L, -1))) {
            const char *key = luaL_tolstring(L, -1, NULL);
            luaL_argerror(
                L, 2, lua_pushfstring(L, "unknown option '%s' (the only one is 'indent')", key));
        }
    }
    lua_pushstring(L, "indent");
    return lua_rawget(L, 2) == LUA_TNIL ? NULL : check_indent(L);
}

static int l_encode(lua_State *L)
{
    const char *indent, *text;
    luaL_checkany(L, 1);
    lua_settop(L, 2);
    indent = check_encode_options(L);
    if (json_encode(L, 1, indent))
        return 1;
    text = lua_tostring(L, -1);
    lua_pushnil(L);
    error_new(L, "refused", NULL, "%s", text);
    return 2;
}

/* Leaves one table on the stack: the argument, or a new one. Throws when it has a metatable that is
 * not one of json.array or json.object. */
static void check_markable(lua_State *L)
{
    lua_settop(L, 1);
    if (lua_isnil(L, 1)) {
        lua_newtable(L);
        lua_replace(L, 1);
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_argcheck(L, json_mark_of(L, 1) != JSON_MARK_FOREIGN, 1,
                  "the table has another metatable already");
}

static int l_array(lua_State *L)
{
    check_markable(L);
    json_mark_array(L);
    return 1;
}

static int l_object(lua_State *L)
{
    check_markable(L);
    json_mark_object(L);
    return 1;
}

/* Replaces the table on the top by its field: t[name], or t[number] when that is nil and the name
 * is a number. */
static void get_field(lua_State *L, const char *name, size_t size)
{
    lua_pushlstring(L, name, size);
    lua_pushvalue(L, -1); // table name name
    if (lua_rawget(L, -3) == LUA_TNIL && lua_stringtonumber(L, lua_tostring(L, -2)) > 0) {
        lua_rawget(L, -4);
        lua_replace(L, -2);
    }
    lua_replace(L, -3);
    lua_pop(L, 1);
}

static int json_l_get(lua_State *L)
{
    size_t size, part;
    const char *path = luaL_checklstring(L, 2, &size), *end = path + size;
    lua_settop(L, 2);
    lua_pushvalue(L, 1);
    if (!lua_isnil(L, 1) && !json_mark_is_null(L, 1))
        luaL_checktype(L, 1, LUA_TTABLE);
    for (;; path += part + 1) {
        const char *dot = memchr(path, '.', (size_t)(end - path));
        part = (size_t)((dot ? dot : end) - path);
        if (!lua_istable(L, -1))
            lua_pushnil(L);
        else
            get_field(L, path, part);
        if (!dot || !lua_istable(L, -1))
            break;
    }
    /* nil when the value is null, or when a part of the path is missing */
    if (path + part < end || json_mark_is_null(L, -1))
        lua_pushnil(L);
    return 1;
}

static const doc_row rows[] = {
    { .name = "decode",
      .function = l_decode,
      .signature = "json.decode(text) -> value | nil, err",
      .help = "Returns the value of a JSON text. Integers keep all 64 bits, [] stays an array, and "
              "null is json.null. err.message says the line and the column of a mistake.",
      .example = "local value = assert(json.decode '{\"id\": 9007199254740993, \"list\": []}')\n"
                 "print(value.id, #value.list)" },
    { .name = "encode",
      .function = l_encode,
      .signature = "json.encode(value [, options]) -> text | nil, err",
      .help = "Returns a value as JSON text, its keys sorted. An empty table is {} unless "
              "json.array made it. A function, a cycle or another value that JSON does not have "
              "throws; text that is not UTF-8, NaN and infinity return nil and an error.",
      .options = { { "options", encode_rows, NULL } },
      .example =
          "print(json.encode({ PatientID = \"1\", Labels = json.array {} }, { indent = 2 }))" },
    { .name = "array",
      .function = l_array,
      .signature = "json.array([t]) -> t",
      .help = "Marks a table as an array in JSON. So it is one even when it is empty. Without t it "
              "makes a new table.",
      .example = "print(json.encode { Resources = json.array {} })" },
    { .name = "object",
      .function = l_object,
      .signature = "json.object([t]) -> t",
      .help = "Marks a table, so that it is an object in JSON. Without t it makes a new table.",
      .example = "print(json.encode(json.object {}))" },
    { .name = "get",
      .function = json_l_get,
      .signature = "json.get(t, path) -> value | nil",
      .help =
          "Returns the value at a path, such as \"a.b.2.c\". The path has keys and list positions. "
          "It returns nil when a part of the path is missing or null. Metamethods are not used.",
      .example = "local job = { Content = { Query = { { PatientID = \"MOD-0001\" } } } }\n"
                 "print(json.get(job, \"Content.Query.1.PatientID\"))" },
    { .name = NULL }
};

void json_open(lua_State *L, memory *m)
{
    lua_createtable(L, 0, (int)(sizeof rows / sizeof *rows));
    doc_register(L, m, rows);
    json_mark_push_null(L);
    lua_setfield(L, -2, "null");
}
