#include "binding/doc.h"

#include <lauxlib.h>
#include <stdbool.h>
#include <string.h>

#include "base/nearest.h"
#include "binding/error.h"
#include "binding/interrupt.h"
#include "binding/parts.h"
#include "binding/userdata.h"

/* Its address is the place of the doc table in the registry. The keys are the functions, weak; the
 * values are rows: light userdata for rows in C, tables for those of doc.describe. */
static const char doc_key;

static void push_doc_table(lua_State *L)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &doc_key) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    userdata_push_weak_table(L, "k");
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &doc_key);
}

void doc_register(lua_State *L, void *upvalue, const doc_row *rows)
{
    push_doc_table(L); /* module docs */
    for (; rows->name; rows++) {
        if (rows->part) {
            parts_push_checked(L, rows->part, rows->name, rows->function);
        } else {
            lua_pushlightuserdata(L, upvalue);
            lua_pushcclosure(L, rows->function, 1);
        }
        lua_pushvalue(L, -1);
        lua_pushlightuserdata(L, (void *)rows);
        lua_rawset(L, -4);
        lua_setfield(L, -3, rows->name);
    }
    lua_pop(L, 1);
}

/* ---- rows as Lua sees them ---- */

static void set_string(lua_State *L, const char *name, const char *value)
{
    lua_pushstring(L, value);
    lua_setfield(L, -2, name);
}

/* Appends an option, with the help on the top, to the list below it. [-1, +0, m] */
static void add_option(lua_State *L, const char *argument, const char *name, const char *type)
{
    int list = lua_gettop(L) - 1;
    lua_createtable(L, 0, 4);
    set_string(L, "argument", argument);
    set_string(L, "name", name);
    set_string(L, "type", type);
    lua_insert(L, -2);
    lua_setfield(L, -2, "help");
    lua_rawseti(L, list, (lua_Integer)lua_rawlen(L, list) + 1);
}

/* Appends the keys of a route that can be given. [-0, +0, m] */
static void add_keys(lua_State *L, const char *argument, const orthanc_key *key)
{
    for (; key->name; key++) {
        if (key->no)
            continue;
        if (key->since > 0)
            lua_pushfstring(L, "%s (Orthanc %d.%d.%d and later)", key->help, key->since / 10000,
                            key->since / 100 % 100, key->since % 100);
        else
            lua_pushstring(L, key->help);
        add_option(L, argument, key->name, orthanc_type_name(key->type));
    }
}

static void add_row(lua_State *L, const char *argument, const option *row)
{
    lua_pushstring(L, row->help);
    add_option(L, argument, row->name, options_type_name(row->type));
}

static void add_rows(lua_State *L, const char *argument, const option *rows)
{
    for (; rows && rows->name; rows++)
        add_row(L, argument, rows);
}

/* Appends all that the argument may have. In `options`, modalua's own options come first; in `data`
 * and `settings`, the keys that are sent come first, since the call is about them. [-0, +0, m] */
static void add_options(lua_State *L, const doc_options *o)
{
    bool own_first = strcmp(o->argument, "options") == 0;
    if (own_first)
        add_rows(L, o->argument, o->rows);
    if (o->route)
        add_keys(L, o->argument, o->route->keys);
    if (!own_first)
        add_rows(L, o->argument, o->rows);
    if (o->route)
        add_row(L, o->argument, &options_extra);
}

/* Pushes the table that `of` returns for a row in C. [-0, +1, m] */
static void push_row(lua_State *L, const doc_row *row)
{
    lua_createtable(L, 0, 4);
    set_string(L, "signature", row->signature);
    set_string(L, "help", row->help);
    set_string(L, "example", row->example);
    if (!row->options[0].argument)
        return;
    lua_newtable(L);
    for (size_t i = 0; i < DOC_TABLES && row->options[i].argument; i++)
        add_options(L, &row->options[i]);
    lua_setfield(L, -2, "options");
}

/* Replaces a row in C on the top by that table. [-1, +1, m] */
static void open_row(lua_State *L)
{
    if (lua_islightuserdata(L, -1)) {
        push_row(L, lua_touserdata(L, -1));
        lua_replace(L, -2);
    }
}

/* ---- the module ---- */

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

static const option describe_rows[] = {
    { "options", OPTION_TABLE, 0, "list of { argument, name, type or false, help }, all strings" },
    { "example", OPTION_VALUE, 0, "string with lines of Lua that show how to call it" },
    OPTIONS_END
};

/* Replaces the list on the top, of { argument, name, type, help }, by one whose items have these as
 * fields. [-1, +1, v] */
static void name_fields(lua_State *L)
{
    static const char *const fields[] = { "argument", "name", "type", "help" };
    int list = lua_gettop(L), named = list + 1, item = list + 2;
    lua_newtable(L);
    for (lua_Integer i = 1; lua_rawgeti(L, list, i) != LUA_TNIL; i++) {
        if (!lua_istable(L, item))
            error_usage(L, "describe: option %d must be a table (a %s was given)", (int)i,
                        luaL_typename(L, item));
        lua_createtable(L, 0, 4);
        for (int field = 0; field < 4; field++) {
            if (lua_rawgeti(L, item, field + 1) == LUA_TSTRING)
                lua_setfield(L, -2, fields[field]);
            else
                lua_pop(L, 1);
        }
        lua_rawseti(L, named, i);
        lua_settop(L, named);
    }
    lua_settop(L, named);
    lua_replace(L, list);
}

static int l_describe(lua_State *L)
{
    enum { FUNCTION = 1, SIGNATURE, HELP, MORE, DOCS, ROW = DOCS + 2 };
    char nothing; /* no row of describe_rows has a field */
    luaL_checktype(L, FUNCTION, LUA_TFUNCTION);
    lua_settop(L, MORE);
    options_read(L, MORE, "describe", describe_rows, &nothing);
    push_doc_table(L);
    lua_pushvalue(L, FUNCTION);
    lua_createtable(L, 0, 4);
    set_string(L, "signature", luaL_checkstring(L, SIGNATURE));
    set_string(L, "help", luaL_checkstring(L, HELP));
    if (lua_istable(L, MORE)) {
        lua_getfield(L, MORE, "example");
        lua_setfield(L, ROW, "example");
        if (lua_getfield(L, MORE, "options") == LUA_TTABLE) {
            name_fields(L);
            lua_setfield(L, ROW, "options");
        }
        lua_settop(L, ROW);
    }
    lua_rawset(L, DOCS);
    lua_settop(L, FUNCTION);
    return 1;
}

static int l_nearest(lua_State *L)
{
    enum { NAME_STEPS = 64 }; /* what a name costs, for interrupt_count */
    nearest h = nearest_for(luaL_checkstring(L, 1));
    size_t steps = 0;
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    for (lua_Integer i = 1; lua_rawgeti(L, 2, i) == LUA_TSTRING; i++) {
        const char *name[] = { lua_tostring(L, -1), NULL }; /* the list keeps it */
        interrupt_count(L, &steps, NAME_STEPS);
        nearest_search(&h, name, sizeof *name);
        lua_settop(L, 2);
    }
    lua_pushstring(L, h.name);
    return 1;
}

static const doc_row functions[] = {
    { .name = "of",
      .function = l_of,
      .signature = "doc.of(f) -> row | nil",
      .help = "Returns the row of one of modalua's functions: { signature =, help =, options =, "
              "example = }. For any other value it returns nil.",
      .example = "print(require(\"modalua.doc\").of(pacs.move).help)" },
    { .name = "describe",
      .function = l_describe,
      .signature = "doc.describe(f, signature, help [, more]) -> f",
      .help = "Gives a row to a function of your own, so that help(f) shows it. Returns f.",
      .options = { { "more", describe_rows, NULL } },
      .example = "local doc = require \"modalua.doc\"\n"
                 "local function double(x) return 2 * x end\n"
                 "doc.describe(double, \"double(x) -> number\", \"Returns two times x.\", { "
                 "example = \"print(double(2))\" })\n"
                 "print(doc.of(double).signature)" },
    { .name = "rows",
      .function = l_rows,
      .signature = "doc.rows() -> list of rows",
      .help = "Returns the rows of all functions in the modules that are loaded, in no order.",
      .example = "print(#require(\"modalua.doc\").rows() .. \" functions\")" },
    { .name = "nearest",
      .function = l_nearest,
      .signature = "doc.nearest(word, names) -> name | nil",
      .help = "Returns the name in the list that a misspelt word most likely means. It returns nil "
              "when no name is near.",
      .example =
          "print(require(\"modalua.doc\").nearest(\"archvie\", { \"pacs\", \"archive\" }))" },
    { .name = NULL }
};

void doc_open(lua_State *L, struct loop *lp)
{
    lua_newtable(L);
    doc_register(L, lp, functions);
}
