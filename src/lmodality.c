#include "lmodality.h"

#include <lauxlib.h>
#include <string.h>

#include "lerror.h"
#include "lopts.h"

#define MODALITY_TYPE "modalua.Modality"

/* ---- life ---- */

modality *lmodality_check(lua_State *L, int index)
{
    modality *m = luaL_checkudata(L, index, MODALITY_TYPE);
    luaL_argcheck(L, m->lane, index, "attempt to use a closed modality");
    return m;
}

static int modality_gc(lua_State *L)
{
    modality *m = lua_touserdata(L, 1);
    lane *l = m->lane;
    m->lane = NULL;
    lane_release(m->lp, l);
    return 0;
}

void lmodality_push(lua_State *L, loop *lp, int client_index, const char *name, unsigned max_moves)
{
    client *c = lclient_check(L, client_index);
    modality *m;
    client_index = lua_absindex(L, client_index);
    if (!orthanc_is_name(name))
        lerror_usage(L, "modality: '%s' cannot be a modality's name (letters, digits, '-' and '_')",
                     name);
    m = lua_newuserdatauv(L, sizeof *m, MODALITY_CLIENT);
    memset(m, 0, sizeof *m);
    m->lp = lp;
    m->max_moves = max_moves;
    strcpy(m->name, name);
    luaL_setmetatable(L, MODALITY_TYPE);
    lua_pushvalue(L, client_index);
    lua_setiuservalue(L, -2, MODALITY_CLIENT);
    m->lane = lane_of(lp, http_server_url(c->server), name);
    if (!m->lane)
        lerror_throw(L, "limit", "memory", "not enough memory for a modality");
}

int lmodality_from_arguments(lua_State *L, loop *lp, int client_index, int name)
{
    struct {
        unsigned max_moves;
    } o = { MODALITY_MAX_MOVES };
    static const lopt rows[] = { { "max_moves", LOPT_COUNT, 0 }, { NULL, LOPT_FLAG, 0 } };
    lclient_check(L, client_index);
    luaL_argexpected(
        L, lua_type(L, name) == LUA_TSTRING && strlen(lua_tostring(L, name)) == lua_rawlen(L, name),
        name, "name of a modality");
    lopts_read(L, name + 1, "modality", rows, &o);
    lmodality_push(L, lp, client_index, lua_tostring(L, name), o.max_moves);
    return 1;
}

modality_call *lmodality_call(lua_State *L, size_t size, const char *name, call_step first)
{
    modality *m = lmodality_check(L, 1);
    modality_call *c;
    lua_getiuservalue(L, 1, MODALITY_CLIENT);
    c = (modality_call *)lcall_new(L, m->lp, size, -1, name, first); /* client call */
    lua_remove(L, -2);
    c->modality = m;
    lcall_keep(L, lua_gettop(L), "modality", 1);
    return c;
}

/* ---- the object ---- */

/* The fields, then the methods (upvalue 1). */
static int l_index(lua_State *L)
{
    const modality *m = luaL_checkudata(L, 1, MODALITY_TYPE);
    const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
    if (strcmp(key, "modality") == 0)
        lua_pushstring(L, m->name);
    else if (strcmp(key, "client") == 0)
        lua_getiuservalue(L, 1, MODALITY_CLIENT);
    else {
        lua_settop(L, 2);
        lua_rawget(L, lua_upvalueindex(1));
    }
    return 1;
}

static int l_tostring(lua_State *L)
{
    const modality *m = luaL_checkudata(L, 1, MODALITY_TYPE);
    lua_pushfstring(L, "%s (%s)", MODALITY_TYPE, m->name);
    return 1;
}

void lmodality_open(lua_State *L)
{
    int methods = lua_gettop(L);
    if (luaL_newmetatable(L, MODALITY_TYPE)) {
        lua_pushvalue(L, methods);
        lua_pushcclosure(L, l_index, 1);
        lua_setfield(L, -2, "__index");
        lua_pushcfunction(L, modality_gc);
        lua_setfield(L, -2, "__gc");
        lua_pushcfunction(L, l_tostring);
        lua_setfield(L, -2, "__tostring");
        lua_pushboolean(L, 0);
        lua_setfield(L, -2, "__metatable");
    }
    lua_settop(L, methods);
}
