#include "api/remote.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "binding/error.h"
#include "binding/options.h"
#include "binding/userdata.h"

static const char remote_key; /* its address marks the metatable of every kind of remote */

/* ---- the userdata ---- */

static remote *check_open(lua_State *L, int index, remote *r)
{
    if (!r->slots)
        luaL_argerror(L, index, lua_pushfstring(L, "attempt to use a closed %s", r->kind->word));
    return r;
}

remote *remote_check(lua_State *L, int index, const remote_kind *kind)
{
    return check_open(L, index, luaL_checkudata(L, index, kind->type));
}

/* The remote at index, which may be closed; throws on anything else. */
static remote *check_remote(lua_State *L, int index)
{
    bool is_remote = false;
    if (lua_type(L, index) == LUA_TUSERDATA && lua_getmetatable(L, index)) {
        is_remote = lua_rawgetp(L, -1, &remote_key) == LUA_TBOOLEAN;
        lua_pop(L, 2);
    }
    luaL_argexpected(L, is_remote, index, "modality or peer");
    return lua_touserdata(L, index);
}

remote *remote_check_any(lua_State *L, int index)
{
    return check_open(L, index, check_remote(L, index));
}

int remote_check_self(lua_State *L)
{
    remote_check_any(L, 1);
    return 0;
}

static int remote_gc(lua_State *L)
{
    remote *r = lua_touserdata(L, 1);
    slots *held = r->slots;
    r->slots = NULL;
    slots_close(r->lp, held);
    return 0;
}

remote *remote_push(lua_State *L, loop *lp, const remote_kind *kind, int client_index,
                    const char *name, unsigned max_moves)
{
    const client *c = client_check(L, client_index);
    remote *r;
    client_index = lua_absindex(L, client_index);
    if (!orthanc_is_name(name))
        error_usage(L, "%s: '%s' is not a valid name (letters, digits, '-' and '_')", kind->word,
                    name);
    r = lua_newuserdatauv(L, sizeof *r, REMOTE_CLIENT);
    memset(r, 0, sizeof *r);
    r->kind = kind;
    r->lp = lp;
    r->max_moves = max_moves;
    r->unfinished = -1;
    strcpy(r->name, name);
    snprintf(r->path, sizeof r->path, "%s/%s", kind->root, name);
    luaL_setmetatable(L, kind->type);
    lua_pushvalue(L, client_index);
    lua_setiuservalue(L, -2, REMOTE_CLIENT);
    r->slots = slots_open(lp, http_server_url(c->server), r->path);
    if (!r->slots)
        error_throw(L, "limit", "memory", "not enough memory for a %s", kind->word);
    return r;
}

const option remote_rows[] = { { "max_moves", OPTION_COUNT, 0,
                                 "how many of its transfers run at the same time (default: 2)" },
                               OPTIONS_END };

int remote_from_arguments(lua_State *L, loop *lp, const remote_kind *kind, int client_index,
                          int name)
{
    struct {
        unsigned max_moves;
    } o = { REMOTE_MAX_MOVES };
    client_check(L, client_index);
    if (lua_type(L, name) != LUA_TSTRING || strlen(lua_tostring(L, name)) != lua_rawlen(L, name))
        luaL_typeerror(L, name, lua_pushfstring(L, "name of a %s", kind->word));
    options_read(L, name + 1, kind->word, remote_rows, &o);
    remote_push(L, lp, kind, client_index, lua_tostring(L, name), o.max_moves);
    return 1;
}

int remote_l_set_latest(lua_State *L)
{
    remote_check_any(L, 1)->latest = luaL_checknumber(L, 2) / 1000;
    return 0;
}

int remote_l_set_usual(lua_State *L)
{
    remote_check_any(L, 1)->usual = luaL_checknumber(L, 2);
    return 0;
}

void remote_note_unfinished(remote *r, double seconds)
{
    if (r->unfinished < 0 || seconds < r->unfinished)
        r->unfinished = seconds;
}

int remote_l_take_unfinished(lua_State *L)
{
    remote *r = remote_check_any(L, 1);
    if (r->unfinished < 0)
        return 0;
    lua_pushnumber(L, r->unfinished);
    r->unfinished = -1;
    return 1;
}

/* ---- calls on a remote ---- */

call *remote_new_call(lua_State *L, size_t size, const char *name, const char *route,
                      call_step first)
{
    remote *r = remote_check_any(L, 1);
    call *c;
    lua_getiuservalue(L, 1, REMOTE_CLIENT);
    c = call_new(L, r->lp, size, -1, name, first); /* client call */
    lua_remove(L, -2);
    c->remote = r;
    call_keep(L, lua_gettop(L), r->kind->word, 1);
    lua_pushfstring(L, "%s%s", r->path, route);
    call_set_route(L, lua_gettop(L) - 1);
    return c;
}

/* ---- fields and methods ---- */

static int remote_l_index(lua_State *L)
{
    const remote *r = check_remote(L, 1);
    const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
    if (strcmp(key, r->kind->word) == 0)
        lua_pushstring(L, r->name);
    else if (strcmp(key, "client") == 0)
        lua_getiuservalue(L, 1, REMOTE_CLIENT);
    else
        return userdata_method(L);
    return 1;
}

static int remote_l_tostring(lua_State *L)
{
    const remote *r = check_remote(L, 1);
    lua_pushfstring(L, "%s (%s)", r->kind->type, r->name);
    return 1;
}

void remote_open(lua_State *L, loop *lp, const remote_kind *kind)
{
    static const luaL_Reg meta[] = { { "__index", remote_l_index },
                                     { "__tostring", remote_l_tostring },
                                     { "__gc", remote_gc },
                                     { NULL, NULL } };
    userdata_open(L, lp, kind->type, &kind->object, meta);
    luaL_getmetatable(L, kind->type);
    lua_pushboolean(L, 1);
    lua_rawsetp(L, -2, &remote_key);
    lua_pop(L, 1);
}
