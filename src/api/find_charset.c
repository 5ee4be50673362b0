#include "api/find_charset.h"

#include <lauxlib.h>

#include "binding/error.h"
#include "orthanc/encodings.h"

/* Whether the character set has all characters of the query at index, with its sequences. */
static bool has_all(lua_State *L, int query, const orthanc_encoding *e)
{
    bool fit = true;
    luaL_checkstack(L, 3, NULL);
    for (lua_pushnil(L); lua_next(L, query); lua_pop(L, 1))
        fit = fit && (lua_istable(L, -1) ? has_all(L, lua_gettop(L), e)
                                         : orthanc_encoding_holds(e, lua_tostring(L, -1)));
    return fit;
}

bool find_charset_refuse(lua_State *L, const call *c, int query, const char *charset)
{
    const orthanc_encoding *e = orthanc_encoding_of_dicom(charset);
    if (e && has_all(L, query, e))
        return false;
    call_fail(L, c, "refused", NULL,
              "the filters have characters that SpecificCharacterSet = '%s' may not have; leave it "
              "out, or "
              "use 'ISO_IR 192' (UTF-8)",
              charset);
    return true;
}

static int find_charset_on_encoding(lua_State *L, call *c);

int find_charset_choose(lua_State *L, call *c, call_step next)
{
    c->after = next;
    return call_get(L, c, find_charset_on_encoding, "/tools/default-encoding");
}

/* Without an answer the filters go out in UTF-8, and data.note tells why. */
static int find_charset_on_encoding(lua_State *L, call *c)
{
    const orthanc_encoding *own = NULL, *chosen;
    int data = c->op.index + 3, query = data + 2;
    if (call_answer_of(L, c, SHAPE_WORD) == 1) {
        own = orthanc_encoding_named(lua_tostring(L, -1));
        lua_pushnil(L); /* where an error would be */
    } else if (error_is_kind(L, -1, "network") || error_is_kind(L, -1, "timeout")) {
        return 2;
    }
    call_push_data(L, c);
    lua_getfield(L, data, "body");
    lua_getfield(L, -1, "Query");
    chosen = own && own->dicom && has_all(L, query, own) ? own : orthanc_encoding_named("Utf8");
    lua_pushstring(L, chosen->dicom);
    lua_setfield(L, query, "0008,0005");
    if (!own && !lua_isnil(L, data - 1)) {
        lua_getfield(L, data - 1, "message");
        lua_pushfstring(
            L, "the server does not say its DefaultEncoding (%s), so the filter was sent in UTF-8",
            lua_tostring(L, -1));
        lua_setfield(L, data, "note");
    }
    lua_settop(L, c->op.index);
    return c->after(L, c);
}

void find_charset_add_note(lua_State *L, const call *c)
{
    int warning = lua_gettop(L);
    call_push(L, c, "note");
    if (lua_type(L, -1) == LUA_TSTRING) {
        if (lua_isstring(L, warning))
            lua_pushfstring(L, "%s; %s", lua_tostring(L, -1), lua_tostring(L, warning));
        lua_replace(L, warning);
    }
    lua_settop(L, warning);
}
