#include "api/remote.h"

#include <lauxlib.h>
#include <string.h>

#include "binding/error.h"
#include "binding/options.h"
#include "binding/userdata.h"

const named_kind named_modality = { "modalua.Modality", "modality", "/modalities" };
const named_kind named_peer = { "modalua.Peer", "peer", "/peers" };

/* ---- life ---- */

static named *check_open(lua_State *L, int index, named *n)
{
    if (!n->lane)
        luaL_argerror(L, index, lua_pushfstring(L, "attempt to use a closed %s", n->kind->word));
    return n;
}

named *lnamed_check(lua_State *L, int index, const named_kind *kind)
{
    return check_open(L, index, luaL_checkudata(L, index, kind->type));
}

static named *check_any(lua_State *L, int index)
{
    named *n = luaL_testudata(L, index, named_modality.type);
    if (!n)
        n = luaL_testudata(L, index, named_peer.type);
    luaL_argexpected(L, n, index, "modality or peer");
    return n;
}

named *lnamed_check_either(lua_State *L, int index)
{
    return check_open(L, index, check_any(L, index));
}

static int named_gc(lua_State *L)
{
    named *n = lua_touserdata(L, 1);
    lane *l = n->lane;
    n->lane = NULL;
    lane_release(n->lp, l);
    return 0;
}

void lnamed_push(lua_State *L, loop *lp, const named_kind *kind, int client_index, const char *name,
                 unsigned max_moves)
{
    client *c = lclient_check(L, client_index);
    named *n;
    client_index = lua_absindex(L, client_index);
    if (!orthanc_is_name(name))
        lerror_usage(L, "%s: '%s' cannot be a %s's name (letters, digits, '-' and '_')", kind->word,
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
    n->lane = lane_of(lp, http_server_url(c->server), lua_tostring(L, -1));
    lua_pop(L, 1);
    if (!n->lane)
        lerror_throw(L, "limit", "memory", "not enough memory for a %s", kind->word);
}

int lnamed_from_arguments(lua_State *L, loop *lp, const named_kind *kind, int client_index,
                          int name)
{
    struct {
        unsigned max_moves;
    } o = { NAMED_MAX_MOVES };
    static const lopt rows[] = { { "max_moves", LOPT_COUNT, 0 }, { NULL, LOPT_FLAG, 0 } };
    lclient_check(L, client_index);
    if (lua_type(L, name) != LUA_TSTRING || strlen(lua_tostring(L, name)) != lua_rawlen(L, name))
        luaL_typeerror(L, name, lua_pushfstring(L, "name of a %s", kind->word));
    lopts_read(L, name + 1, kind->word, rows, &o);
    lnamed_push(L, lp, kind, client_index, lua_tostring(L, name), o.max_moves);
    return 1;
}

/* ---- the object ---- */

/* The fields, then the methods. */
static int l_index(lua_State *L)
{
    const named *n = check_any(L, 1);
    const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
    if (strcmp(key, n->kind->word) == 0)
        lua_pushstring(L, n->name);
    else if (strcmp(key, "client") == 0)
        lua_getiuservalue(L, 1, NAMED_CLIENT);
    else
        return ltype_method(L);
    return 1;
}

static int l_tostring(lua_State *L)
{
    const named *n = check_any(L, 1);
    lua_pushfstring(L, "%s (%s)", n->kind->type, n->name);
    return 1;
}

void lnamed_open(lua_State *L, loop *lp, const named_kind *kind)
{
    static const luaL_Reg meta[] = {
        { "__index", l_index }, { "__tostring", l_tostring }, { "__gc", named_gc }, { NULL, NULL }
    };
    ltype_open(L, lp, kind->type, meta);
}
