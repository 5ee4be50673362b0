#include "request/version.h"

#include <assert.h>
#include <lauxlib.h>

int version_of(const call *c)
{
    assert(c->version > 0);
    return c->version;
}

static int version_on_system(lua_State *L, call *c);
static int version_compare(lua_State *L, call *c);

int version_ask(lua_State *L, call *c, call_step next)
{
    c->after = next;
    call_push_client(L, c);
    lua_getiuservalue(L, -1, CLIENT_VERSION);
    c->version = (int)lua_tointeger(L, -1); /* 0: the client has not asked yet */
    lua_settop(L, c->op.index);
    return c->version > 0 ? version_compare(L, c) : call_get(L, c, version_on_system, "/system");
}

static int version_on_system(lua_State *L, call *c)
{
    int version;
    c->version = ORTHANC_UNKNOWN;
    if (call_answer_of(L, c, SHAPE_OBJECT) != 1 ||
        !call_push_member(L, c, c->op.index + 1, "Version", SHAPE_TEXT)) {
        if (!c->needs.not_sure)
            return 2;
        lua_settop(L, c->op.index);
        return version_compare(L, c);
    }
    version = orthanc_version_parse(lua_tostring(L, -1));
    if (version > 0)
        c->version = version;
    call_push_client(L, c);
    lua_pushinteger(L, c->version);
    lua_setiuservalue(L, -2, CLIENT_VERSION);
    lua_settop(L, c->op.index);
    return version_compare(L, c);
}

static int unsupported(lua_State *L, const call *c, const char *what, int since)
{
    int has = c->version;
    return call_fail(L, c, "orthanc", "unsupported",
                     "%s needs Orthanc %d.%d.%d or later, and this server is %d.%d.%d", what,
                     since / 10000, since / 100 % 100, since % 100, has / 10000, has / 100 % 100,
                     has % 100);
}

static int version_compare(lua_State *L, call *c)
{
    const call_needs *n = &c->needs;
    if (c->version < n->since)
        return unsupported(L, c, n->what, n->since);
    if (n->key && c->version < n->key->since)
        return unsupported(L, c, lua_pushfstring(L, "'%s' of %s", n->key->name, c->op.name),
                           n->key->since);
    return c->after(L, c);
}
