#include "binding/parts.h"

#include <lauxlib.h>
#include <stdbool.h>
#include <string.h>

#include "binding/error.h"

static const char globals_key; /* its address is the place of the parts' globals in the registry */
static const char openers_key; /* the place of a table: C functions that open a part, by its name */

/* ---- globals of the parts ---- */

void parts_set_globals(lua_State *L)
{
    lua_rawsetp(L, LUA_REGISTRYINDEX, &globals_key);
}

void parts_copy_globals(lua_State *L)
{
    lua_newtable(L);
    lua_pushglobaltable(L);
    for (lua_pushnil(L); lua_next(L, -2);) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, -5);
    }
    lua_pop(L, 1);
    parts_set_globals(L);
}

void parts_push_globals(lua_State *L)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &globals_key) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_pushglobaltable(L);
}

/* ---- loading ---- */

/* Loads the part and pushes its value. [-0, +1, v] */
static void parts_load(lua_State *L, const embedded_part *p);

static const embedded_part *parts_find(const char *name)
{
    const embedded_part *p = embedded_parts;
    while (p->name && strcmp(p->name, name) != 0)
        p++;
    return p->name ? p : NULL;
}

/* Pushes a module that scripts can require. [-0, +1, v] */
static void push_public(lua_State *L, const char *name)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    if (lua_getfield(L, -1, name) == LUA_TNIL) {
        lua_pop(L, 1);
        parts_push_globals(L);
        lua_getfield(L, -1, "require");
        lua_remove(L, -2);
        lua_pushstring(L, name);
        lua_call(L, 1, 1);
    }
    lua_remove(L, -2);
}

void parts_provide(lua_State *L, const char *name)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, PARTS_LOADED);
    lua_insert(L, -2);
    lua_setfield(L, -2, name);
    lua_pop(L, 1);
}

/* [-0, +1, m] */
static void push_openers(lua_State *L)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &openers_key) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &openers_key);
}

void parts_provide_later(lua_State *L, const char *name, lua_CFunction open, void *upvalue)
{
    push_openers(L);
    lua_pushlightuserdata(L, upvalue);
    lua_pushcclosure(L, open, 1);
    lua_setfield(L, -2, name);
    lua_pop(L, 1);
}

/* Pushes the part that a C function gives; false, and pushes nothing, when there is none of that
 * name. [-0, +(0|1), v] */
static bool push_opened(lua_State *L, const char *name)
{
    push_openers(L);
    if (lua_getfield(L, -1, name) == LUA_TNIL) {
        lua_pop(L, 2);
        return false;
    }
    lua_remove(L, -2);
    lua_call(L, 0, 1);
    lua_pushvalue(L, -1);
    parts_provide(L, name);
    return true;
}

void parts_push(lua_State *L, const char *name)
{
    const embedded_part *p;
    luaL_getsubtable(L, LUA_REGISTRYINDEX, PARTS_LOADED);
    if (lua_getfield(L, -1, name) == LUA_TNIL) {
        lua_pop(L, 1);
        p = parts_find(name);
        if (p)
            parts_load(L, p);
        else if (!push_opened(L, name))
            push_public(L, name);
    }
    lua_remove(L, -2);
}

/* The `require` of the Lua half. */
static int parts_l_require(lua_State *L)
{
    parts_push(L, luaL_checkstring(L, 1));
    return 1;
}

/* Parts must not require each other while they are loaded: that would never end. */
static void parts_load(lua_State *L, const embedded_part *p)
{
    if (luaL_loadbufferx(L, (const char *)p->text, p->size, p->chunk, "t") != LUA_OK)
        error_raise(L);
    parts_push_globals(L);
    lua_setupvalue(L, -2, 1); /* _ENV */
    lua_pushcfunction(L, parts_l_require);
    lua_call(L, 1, 1);
    lua_pushvalue(L, -1);
    parts_provide(L, p->name);
}

/* ---- functions that load their part ---- */

/* Returns all values on the stack. */
static int parts_called_k(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    (void)context;
    return lua_gettop(L);
}

/* Upvalues: the name of the part, the name of its function, and the C function that checks the
 * arguments, or nil. */
static int parts_l_call(lua_State *L)
{
    lua_CFunction check = lua_tocfunction(L, lua_upvalueindex(3));
    int arguments = lua_gettop(L);
    if (check) {
        check(L);
        lua_settop(L, arguments);
    }
    parts_push(L, lua_tostring(L, lua_upvalueindex(1)));
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_gettable(L, -2);
    lua_remove(L, -2);
    lua_insert(L, 1);
    lua_callk(L, lua_gettop(L) - 1, LUA_MULTRET, 0, parts_called_k);
    return parts_called_k(L, LUA_OK, 0);
}

void parts_push_checked(lua_State *L, const char *part, const char *function, lua_CFunction check)
{
    lua_pushstring(L, part);
    lua_pushstring(L, function);
    if (check)
        lua_pushcfunction(L, check);
    lua_pushcclosure(L, parts_l_call, check ? 3 : 2);
}

void parts_push_function(lua_State *L, const char *part, const char *function)
{
    parts_push_checked(L, part, function, NULL);
}
