#include "binding/parts.h"

#include <lauxlib.h>
#include <string.h>

static const char globals_key; /* of the parts' globals in the registry */

/* ---- their globals ---- */

void parts_set_globals(lua_State *L)
{
    lua_rawsetp(L, LUA_REGISTRYINDEX, &globals_key);
}

void parts_push_globals(lua_State *L)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &globals_key) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_pushglobaltable(L);
}

/* ---- loading ---- */

static const embedded_part *find(const char *name)
{
    const embedded_part *p = embedded_parts;
    while (p->name && strcmp(p->name, name) != 0)
        p++;
    return p->name ? p : NULL;
}

void parts_push_chunk(lua_State *L, const char *name)
{
    const embedded_part *p = find(name);
    if (!p)
        luaL_error(L, "modalua has no part '%s'", name);
    if (luaL_loadbufferx(L, (const char *)p->text, p->size, p->chunk, "t") != LUA_OK)
        lua_error(L);
    parts_push_globals(L);
    lua_setupvalue(L, -2, 1); /* _ENV */
}

/* Pushes a module that scripts can require too. [-0, +1, v] */
static void push_public(lua_State *L, const char *name)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    if (lua_getfield(L, -1, name) == LUA_TNIL) {
        parts_push_globals(L);
        lua_getfield(L, -1, "require");
        lua_pushstring(L, name);
        lua_call(L, 1, 1);
    }
}

/* The `require` of the Lua half. */
static int l_require(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    if (find(name))
        parts_push(L, name);
    else
        push_public(L, name);
    return 1; /* the top */
}

/* Two parts that require each other while they are loaded would never end: none does. */
void parts_push(lua_State *L, const char *name)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, PARTS_LOADED);
    if (lua_getfield(L, -1, name) == LUA_TNIL) {
        lua_pop(L, 1);
        parts_push_chunk(L, name);
        lua_pushcfunction(L, l_require);
        lua_call(L, 1, 1);
        lua_pushvalue(L, -1);
        lua_setfield(L, -3, name);
    }
    lua_remove(L, -2);
}
