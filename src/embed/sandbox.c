#include "embed/sandbox.h"

#include <lauxlib.h>
#include <string.h>

#include "binding/error.h"
#include "binding/parts.h"
#include "embed/module.h"
#include "embed/require.h"

/* ---- the allow-list ---- */

/* Names, ended by NULL. */
static const char *const base[] = {
    "assert",   "error",    "getmetatable", "ipairs", "next",   "pairs",    "pcall",
    "print",    "rawequal", "rawget",       "rawlen", "rawset", "select",   "setmetatable",
    "tonumber", "tostring", "type",         "warn",   "xpcall", "_VERSION", NULL
};
static const char *const coroutine[] = { "close",  "create", "isyieldable", "resume", "running",
                                         "status", "wrap",   "yield",       NULL };
static const char *const math[] = { "abs",        "acos", "asin", "atan",       "ceil",
                                    "cos",        "deg",  "exp",  "floor",      "fmod",
                                    "huge",       "log",  "max",  "maxinteger", "min",
                                    "mininteger", "modf", "pi",   "rad",        "random",
                                    "randomseed", "sin",  "sqrt", "tan",        "tointeger",
                                    "type",       "ult",  NULL };
static const char *const os[] = { "clock", "date", "difftime", "time", NULL };
static const char *const string[] = { "byte",    "char",  "find",   "format", "gmatch",   "gsub",
                                      "len",     "lower", "match",  "pack",   "packsize", "rep",
                                      "reverse", "sub",   "unpack", "upper",  NULL };
static const char *const table[] = { "concat", "insert", "move",   "pack",
                                     "remove", "sort",   "unpack", NULL };
static const char *const utf8[] = { "char", "charpattern", "codepoint", "codes",
                                    "len",  "offset",      NULL };

static const struct {
    const char *name;
    const char *const *fields;
} libraries[] = { { "coroutine", coroutine }, { "math", math },   { "os", os },
                  { "string", string },       { "table", table }, { "utf8", utf8 } };

/* Copies the named fields from the table at `from` to the table on the top. [-0, +0, m] */
static void copy_allowed(lua_State *L, int from, const char *const *names)
{
    for (; *names; names++) {
        lua_getfield(L, from, *names);
        lua_setfield(L, -2, *names);
    }
}

/* ---- load and require ---- */

/* The standard `load` (upvalue 1), but for text only: crafted bytecode could take over the process.
 */
static int l_load(lua_State *L)
{
    int n = lua_gettop(L) < 3 ? 3 : lua_gettop(L);
    lua_settop(L, n);
    lua_pushstring(L, strchr(luaL_optstring(L, 3, "t"), 't') ? "t" : "-");
    lua_replace(L, 3);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, n, LUA_MULTRET);
    return lua_gettop(L);
}

/* Pushes the result of the Lua half's require "name". [-0, +1, v] */
static void require_modaluas(lua_State *L, const char *name)
{
    parts_push_globals(L);
    lua_getfield(L, -1, "require");
    lua_remove(L, -2);
    lua_pushstring(L, name);
    lua_call(L, 1, 1);
}

/* Pushes the chunk of a module of the host. [-0, +1, v] */
static void push_chunk(lua_State *L, const module_finder *f, const char *name)
{
    if (!f->search)
        error_usage(
            L,
            "a sandboxed script has no module '%s': it has only modalua's modules and those "
            "of its host",
            name);
    if (!host_functions_find_module(L, f, name)) {
        error_make_shown(L, SHOWN_LINE);
        error_raise(L);
    }
}

/* A lua_KFunction: keeps the result of the module, which is on the top; true when that is nil. */
static int sandbox_loaded_k(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    (void)context;
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_pushboolean(L, 1);
    }
    lua_pushvalue(L, 1);
    lua_pushvalue(L, -2);
    lua_rawset(L, lua_upvalueindex(2));
    return 1;
}

/* Upvalues: the module_finder, and a table: name -> the result of the module that was loaded. */
static int l_sandbox_require(lua_State *L)
{
    const module_finder *f = lua_touserdata(L, lua_upvalueindex(1));
    const char *name = luaL_checkstring(L, 1);
    op *wait;
    lua_settop(L, 1);
    lua_pushvalue(L, 1);
    if (lua_rawget(L, lua_upvalueindex(2)) != LUA_TNIL)
        return 1;
    lua_settop(L, 1);
    if (module_is_for_sandbox(name)) {
        require_modaluas(L, name);
        return sandbox_loaded_k(L, LUA_OK, 0);
    }
    wait = require_wait(L);
    if (wait)
        return op_run(L, wait);
    require_begin(L);
    push_chunk(L, f, name);
    lua_pushvalue(L, 1);
    lua_callk(L, 1, 1, 0, sandbox_loaded_k);
    return sandbox_loaded_k(L, LUA_OK, 0);
}

static void set_require(lua_State *L, module_finder f)
{
    host_functions_push_finder(L, f);
    lua_newtable(L);
    lua_pushcclosure(L, l_sandbox_require, 2);
    lua_setfield(L, -2, "require");
}

/* ---- the globals ---- */

/* The methods of strings become the sandbox's table `string`, and scripts cannot reach the
 * metatable of strings. The globals are on the top. [-0, +0, m] */
static void set_string_methods(lua_State *L)
{
    lua_pushliteral(L, "");
    lua_getmetatable(L, -1);
    lua_getfield(L, -3, "string");
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 2);
}

void sandbox_enter(lua_State *L, module_finder f)
{
    int own, globals;
    lua_pushglobaltable(L);
    own = lua_gettop(L);
    lua_newtable(L);
    globals = lua_gettop(L);
    copy_allowed(L, own, base);
    for (size_t i = 0; i < sizeof libraries / sizeof libraries[0]; i++) {
        lua_getfield(L, own, libraries[i].name);
        lua_newtable(L);
        copy_allowed(L, globals + 1, libraries[i].fields);
        lua_setfield(L, globals, libraries[i].name);
        lua_settop(L, globals);
    }
    lua_getfield(L, own, "load");
    lua_pushcclosure(L, l_load, 1);
    lua_setfield(L, globals, "load");
    set_require(L, f);
    lua_pushvalue(L, globals);
    lua_setfield(L, globals, "_G");
    lua_pushvalue(L, globals);
    lua_setfield(L, own, "_G"); /* the Lua half sets the globals of the script through _G */
    set_string_methods(L);
    lua_rawseti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    parts_set_globals(L);
}
