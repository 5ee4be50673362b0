#include "embed/kept.h"

/* Their addresses are the keys in the registry. */
static const char keys[KEPT_PLACES];

void kept_open(lua_State *L)
{
    for (int place = 0; place < KEPT_PLACES; place++)
        kept_clear(L, (kept_place)place);
}

const char *kept_set(lua_State *L, kept_place place)
{
    const char *text = lua_tostring(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &keys[place]);
    return text;
}

void kept_push(lua_State *L, kept_place place)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &keys[place]);
}

/* false, and not nil: nil would take the key away, and setting it again could fail. */
void kept_clear(lua_State *L, kept_place place)
{
    lua_pushboolean(L, 0);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &keys[place]);
}
