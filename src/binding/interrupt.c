#include "binding/interrupt.h"

#include <lauxlib.h>

static const char look_key; /* its address is the place of the C function in the registry */

void interrupt_set(lua_State *L, lua_CFunction look)
{
    lua_pushcfunction(L, look);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &look_key);
}

void interrupt_look(lua_State *L)
{
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &look_key) == LUA_TFUNCTION)
        lua_call(L, 0, 0);
    else
        lua_pop(L, 1);
}

void interrupt_count(lua_State *L, size_t *steps, size_t cost)
{
    *steps += cost;
    if (*steps < INTERRUPT_STEPS)
        return;
    *steps = 0;
    interrupt_look(L);
}
