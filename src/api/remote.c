#include "api/remote.h"

#include <lauxlib.h>
#include <string.h>

#include "binding/error.h"
#include "binding/options.h"
#include "binding/userdata.h"

const remote_kind remote_modality = { "modalua.Modality", "modality", "/modalities" };
const remote_kind remote_peer = { "modalua.Peer", "peer", "/peers" };

/* ---- life ---- */

static remote *check_open(lua_State *L, int index, remote *n)
{
    if (!n->slots)
        luaL_argerror(L, index, lua_pushfstring(L, "attempt to use a closed %s", n->kind->word));
    return n;
}

remote *remote_check(lua_State *L, int index, const remote_kind *kind)
{
    return check_open(L, index, luaL_checkudata(L, index, kind->type));
}

static remote *check_any(lua_State *L, int index)
{
    remote *n = luaL_testudata(L, index, remote_modality.type);
    if (!n)
        n = luaL_testudata(L, index, remote_peer.type);
    luaL_argexpected(L, n, index, "modality or peer");
    return n;
}

remote *remote_check_either(lua_State *L, int index)
{
    return check_open(L, index, check_any(L, index));
}

static int remote_gc(lua_State *L)
{
    remote *n = lua_touserdata(L, 1);
    slots *l = n->slots;
    n->slots = NULL;
    slots_release(n->lp, l);
    return 0;
}

void remote_push(lua_State *L, loop *lp, const remote_kind *kind, int client_index,
                 const char *name, unsigned max_moves)
{
    client *c = client_check(L, client_index);
    remote *n;
    client_index = lua_absindex(L, client_index);
    if (!orthanc_is_name(name))
        error_usage(L, "%s: '%s' cannot be a %s's name (letters, digits, '-' and '_')", kind->word,
                    name, kind->word);
    n = lua_newuserdatauv(L, sizeof *n, NAMED_CLIENT);
    memset(n, 0, sizeof *n);
    n->kind = kind;
    n->lp = lp;
    n->max_moves = max_moves;
    strcpy(n->name, name);
    luaL_setmetatable(L, kind->type);
    lua_pushvalue(L, client_index);
    lua_setiuservalue(L, -2, NAMED_CLIENT);
    lua_pushfstring(L, "%s/%s", kind->root, name); /* a modality and a peer may be namesakes */
    n->slots = slots_of(lp, http_server_url(c->server), lua_tostring(L, -1));
    lua_pop(L, 1);
    if (!n->slots)
        error_throw(L, "limit", "memory", "not enough memory for a %s", kind->word);
}

const option remote_rows[] = { { "max_moves", OPTION_COUNT, 0,
                                 "how many of its transfers run at the same time (default: 2)" },
                               OPTIONS_END };

int remote_from_arguments(lua_State *L, loop *lp, const remote_kind *kind, int client_index,
                          int name)
{
    struct {
        unsigned max_moves;
    } o = { NAMED_MAX_MOVES };
    client_check(L, client_index);
    if (lua_type(L, name) != LUA_TSTRING || strlen(lua_tostring(L, name)) != lua_rawlen(L, name))
        luaL_typeerror(L, name, lua_pushfstring(L, "name of a %s", kind->word));
    options_read(L, name + 1, kind->word, remote_rows, &o);
    remote_push(L, lp, kind, client_index, lua_tostring(L, name), o.max_moves);
    return 1;
}

/* ---- the object ---- */

/* The fields, then the methods. */
static int l_index(lua_State *L)
{
    const remote *n = check_any(L, 1);
    const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
    if (strcmp(key, n->kind->word) == 0)
        lua_pushstring(L, n->name);
    else if (strcmp(key, "client") == 0)
        lua_getiuservalue(L, 1, NAMED_CLIENT);
    else
        return userdata_method(L);
    return 1;
}

static int l_tostring(lua_State *L)
{
    const remote *n = check_any(L, 1);
    lua_pushfstring(L, "%s (%s)", n->kind->type, n->name);
    return 1;
}

void remote_open(lua_State *L, loop *lp, const remote_kind *kind)
{
    static const luaL_Reg meta[] = {
        { "__index", l_index }, { "__tostring", l_tostring }, { "__gc", remote_gc }, { NULL, NULL }
    };
    userdata_open(L, lp, kind->type, meta);
}
