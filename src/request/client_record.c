#include "request/client_record.h"

#include <lauxlib.h>

client *client_check(lua_State *L, int index)
{
    client *c = luaL_checkudata(L, index, CLIENT_TYPE);
    /* A script's finalizer can run after the client's own. */
    luaL_argcheck(L, c->server, index, "attempt to use a closed client");
    return c;
}
