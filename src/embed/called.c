#include "embed/called.h"

#include <lauxlib.h>
#include <string.h>

#include "binding/error.h"
#include "embed/module.h"
#include "embed/runtime.h"
#include "json/decode.h"
#include "json/encode.h"

/* Throws the error of a function that has failed as operations do: its results, on the top, are nil
 * and an error of any kind, or false and an error object. [-0, +0, v] */
static void throw_failure(lua_State *L)
{
    if ((lua_isnil(L, -2) && !lua_isnil(L, -1)) ||
        (lua_isboolean(L, -2) && !lua_toboolean(L, -2) && error_is(L, -1)))
        error_raise(L);
}

/* A lua_KFunction: returns the first of the function's two results, which are on the top, as JSON. */
static int encode_result_k(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    (void)context;
    throw_failure(L);
    lua_pop(L, 1);
    if (lua_isnil(L, -1))
        return 0;
    if (!json_encode(L, lua_gettop(L), NULL))
        return luaL_error(L, "the result cannot be sent as JSON: %s", lua_tostring(L, -1));
    return 1;
}

/* The stack of called_function: its arguments (the JSON text may be nil), and the function that it calls. */
enum { CALL_PATH = 1, CALL_JSON, CALLED };

/* Pushes the value that the path leads to from the globals ("viewer.open"); another value when there
 * is none. [-0, +1, v] */
static void push_global(lua_State *L, const char *path)
{
    lua_pushglobaltable(L);
    for (const char *at = path; at && lua_istable(L, -1);) {
        size_t n = strcspn(at, ".");
        lua_pushlstring(L, at, n);
        lua_gettable(L, -2);
        lua_remove(L, -2);
        at = at[n] ? at + n + 1 : NULL;
    }
}

/* Calls the value on the top, if it is a function. */
static int call_found(lua_State *L)
{
    modalua_runtime *rt = runtime_of(L);
    const char *path = lua_tostring(L, CALL_PATH), *json = lua_tostring(L, CALL_JSON);
    lua_replace(L, CALLED);
    lua_settop(L, CALLED);
    if (!lua_isfunction(L, CALLED))
        return luaL_error(L, "there is no function '%s'", path);
    if (json && !json_decode(L, &rt->memory, json, lua_rawlen(L, CALL_JSON)))
        return luaL_error(L, "the argument of '%s' is not JSON: %s", path, lua_tostring(L, -1));
    lua_callk(L, json ? 1 : 0, 2, 0, encode_result_k);
    return encode_result_k(L, LUA_OK, 0);
}

/* A lua_KFunction: the module that the path begins with is on the top. */
static int call_in_module_k(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    (void)context;
    if (lua_istable(L, -1))
        lua_getfield(L, -1, strrchr(lua_tostring(L, CALL_PATH), '.') + 1);
    return call_found(L);
}

/* The function is a global, or else a field of a module ("modalua.verbs.main"), which may wait while it
 * is loaded. */
int called_function(lua_State *L)
{
    const char *path = lua_tostring(L, CALL_PATH), *dot = strrchr(path, '.');
    lua_settop(L, CALLED);
    push_global(L, path);
    if (lua_isfunction(L, -1) || !dot)
        return call_found(L);
    lua_pushlstring(L, path, (size_t)(dot - path));
    module_push_loader_for_host(L, lua_tostring(L, -1));
    lua_pushvalue(L, -2);
    lua_callk(L, 1, 1, 0, call_in_module_k);
    return call_in_module_k(L, LUA_OK, 0);
}

int called_chunk(lua_State *L)
{
    lua_callk(L, 0, 2, 0, encode_result_k);
    return encode_result_k(L, LUA_OK, 0);
}
