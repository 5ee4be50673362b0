#include "binding/doc.h"

#include <lauxlib.h>

#include "base/nearest.h"
#include "binding/parts.h"

/* Its address names the doc table in the registry: weak keys, function -> row (light userdata), or
 * {signature=, help=} for the Lua half's. */
static const char doc_key;

static void push_doc_table(lua_State *L)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &doc_key) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "k");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &doc_key);
}

/* Sets the function on the top as the row's field of the table two below it, and notes the row in
 * the doc table between them. [-1, +0, m] */
static void set_function(lua_State *L, const doc_row *row)
{
    lua_pushvalue(L, -1);
    lua_pushlightuserdata(L, (void *)row);
    lua_rawset(L, -4);
    lua_setfield(L, -3, row->name);
}

void doc_register(lua_State *L, void *upvalue, const doc_row *rows)
{
    push_doc_table(L); /* module docs */
    for (; rows->name; rows++) {
        lua_pushlightuserdata(L, upvalue);
        lua_pushcclosure(L, rows->function, 1);
        set_function(L, rows);
    }
    lua_pop(L, 1);
}

void doc_register_lua(lua_State *L, const doc_lua_row *rows)
{
    push_doc_table(L); /* module docs */
    for (; rows->part; rows++) {
        parts_push_function(L, rows->part, rows->row.name);
        set_function(L, &rows->row);
    }
    lua_pop(L, 1);
}

/* Pushes {signature=, help=}. [-0, +1, m] */
static void push_row(lua_State *L, const char *signature, const char *help)
{
    lua_createtable(L, 0, 2);
    lua_pushstring(L, signature);
    lua_setfield(L, -2, "signature");
    lua_pushstring(L, help);
    lua_setfield(L, -2, "help");
}

/* Makes {signature=, help=} of a C row on the top. [-1, +1, m] */
static void open_row(lua_State *L)
{
    if (lua_islightuserdata(L, -1)) {
        const doc_row *row = lua_touserdata(L, -1);
        push_row(L, row->signature, row->help);
        lua_replace(L, -2);
    }
}

static int l_of(lua_State *L)
{
    lua_settop(L, 1);
    luaL_checkany(L, 1);
    if (lua_isnil(L, 1))
        return 1;
    push_doc_table(L);
    lua_insert(L, 1);
    lua_rawget(L, 1);
    open_row(L);
    return 1;
}

static int l_rows(lua_State *L)
{
    lua_Integer n = 0;
    lua_settop(L, 0);
    push_doc_table(L);
    lua_newtable(L);
    for (lua_pushnil(L); lua_next(L, 1);) {
        open_row(L);
        lua_seti(L, 2, ++n);
    }
    return 1;
}

static int l_describe(lua_State *L)
{
    const char *signature = luaL_checkstring(L, 2), *help = luaL_checkstring(L, 3);
    luaL_checktype(L, 1, LUA_TFUNCTION);
    push_doc_table(L);
    lua_pushvalue(L, 1);
    push_row(L, signature, help);
    lua_rawset(L, -3);
    lua_settop(L, 1);
    return 1;
}

static int l_nearest(lua_State *L)
{
    nearest h = nearest_for(luaL_checkstring(L, 1));
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    for (lua_Integer i = 1; lua_rawgeti(L, 2, i) == LUA_TSTRING; i++) {
        const char *name[] = { lua_tostring(L, -1), NULL }; /* the list keeps it */
        nearest_look(&h, name, sizeof *name);
        lua_settop(L, 2);
    }
    lua_pushstring(L, h.name);
    return 1;
}

static const doc_row functions[] = {
    { "of", l_of, "of(f) -> {signature = …, help = …} | nil",
      "What is known of one of modalua's functions." },
    { "describe", l_describe, "describe(f, signature, help) -> f",
      "Notes signature and help for a function that is written in Lua." },
    { "rows", l_rows, "rows() -> list of {signature = …, help = …}",
      "What is known of all functions of the modules that have been loaded, in no order." },
    { "nearest", l_nearest, "nearest(word, names) -> name | nil",
      "The name in the list that a misspelt word most likely means; nil when none is near." },
    { NULL, NULL, NULL, NULL }
};

void doc_open(lua_State *L, struct loop *lp)
{
    lua_newtable(L);
    doc_register(L, lp, functions);
}
