#include "lworklist.h"

#include <lauxlib.h>

#include "hint.h"
#include "lanswers.h"
#include "lcharset.h"
#include "lerror.h"
#include "lmodality.h"
#include "lroute.h"
#include "lworkquery.h"
#include "orthanc_tags.h"
#include "orthanc_worklist.h"

enum { UNKNOWN_TAG = 27 }; /* OrthancStatus */

/* ---- what came back ---- */

/* Before 1.12 the server does not say which tag it does not know: it is one of those that we do not
 * know either. The error is on the top. */
static void explain_unknown(lua_State *L, const call *c)
{
    int error = lua_gettop(L), names;
    luaL_Buffer b;
    lcall_push_data(L, c);
    lua_getfield(L, -1, "unknown");
    names = lua_gettop(L);
    lua_getfield(L, error, "message");
    luaL_buffinit(L, &b);
    lua_pushvalue(L, names + 1);
    luaL_addvalue(&b);
    for (lua_Integer i = 1, n = (lua_Integer)lua_rawlen(L, names); i <= n; i++) {
        hint h;
        lua_rawgeti(L, names, i);
        h = hint_for(lua_tostring(L, -1));
        hint_look(&h, orthanc_worklist_tags, sizeof *orthanc_worklist_tags);
        hint_look(&h, orthanc_tags, sizeof *orthanc_tags);
        lua_pushfstring(L,
                        h.name ? "; modalua does not know %s: did you mean %s?"
                               : "; modalua does not know %s",
                        h.word, h.name);
        lua_remove(L, -2);
        luaL_addvalue(&b);
    }
    luaL_addstring(&b, " (tag names are case-sensitive, and those of the server's DICOM "
                       "dictionary; gggg,eeee always works)");
    luaL_pushresult(&b);
    lua_setfield(L, error, "message");
    lua_settop(L, error);
}

/* → list [, warning] */
static int answered(lua_State *L, call *c)
{
    if (lcall_answer(L, c) != 1) {
        lua_getfield(L, -1, "orthanc_status");
        if (lua_tointeger(L, -1) == UNKNOWN_TAG) {
            lua_pop(L, 1);
            explain_unknown(L, c);
        }
        lua_settop(L, c->base.index + 2);
        return 2;
    }
    if (!lanswers_is_list(L))
        return lcall_fail(L, c, "decode", NULL, "the answers are no list");
    lanswers_tidy(L);
    lcharset_add_note(L, c);
    return lua_isnil(L, -1) ? (lua_pop(L, 1), 1) : 2;
}

/* ---- the call ---- */

/* POST /modalities/{name}/find-worklist: DICOM PS3.4 K (Basic Worklist Management). As a search
 * does, it makes a remote modality work, and is not repeated. */
static int ask(lua_State *L, call *c)
{
    lcall_push_data(L, c);
    lua_getfield(L, -1, "body");
    return lcall_post(L, c, answered, CALL_REMOTE, "/modalities/%s/find-worklist",
                      ((modality_call *)c)->modality->name);
}

static int choose_charset(lua_State *L, call *c)
{
    return lcharset_choose(L, c, ask);
}

typedef struct worklist_options {
    double wait_timeout;
    bool simplify, brief;
} worklist_options;

static const lopt rows[] = { { "wait_timeout", LOPT_SECONDS,
                               offsetof(worklist_options, wait_timeout) },
                             { "simplify", LOPT_FLAG, offsetof(worklist_options, simplify) },
                             { "short", LOPT_FLAG, offsetof(worklist_options, brief) },
                             { "keep", LOPT_TABLE, 0 },
                             { NULL, LOPT_FLAG, 0 } };

/* self query options */
int lworklist_find(lua_State *L)
{
    enum { SELF = 1, QUERY, OPTIONS, BODY, CALL, KEEP };
    static const char *const forms[] = { "Simplify", "Short", "Full" };
    worklist_options o = { 0, false, false };
    workquery q = {
        .function = "find_worklist", .route = &orthanc_worklist, .options = rows, .query = QUERY
    };
    modality_call *c;

    lmodality_check(L, SELF);
    lua_settop(L, OPTIONS);
    luaL_checktype(L, QUERY, LUA_TTABLE);
    lroute_read(L, OPTIONS, q.function, &orthanc_worklist, rows, &o); /* … body */
    lua_pushboolean(L, 1);
    lua_setfield(L, BODY, forms[lanswers_form(L, OPTIONS, q.function, o.simplify, o.brief)]);

    c = lmodality_call(L, sizeof *c, q.function, ask);
    lcall_set_deadline(&c->call, o.wait_timeout);
    lua_pushfstring(L, "/modalities/%s/find-worklist", c->modality->name);
    lcall_keep_route(L, CALL);
    if (lua_istable(L, OPTIONS) && lua_getfield(L, OPTIONS, "keep") == LUA_TTABLE)
        q.keep = KEEP;
    lua_settop(L, KEEP);
    if (!lworkquery_check(L, &q))
        return lcall_fail(L, &c->call, "refused", NULL, "%s", lua_tostring(L, -1));
    if (!q.ascii && q.charset && lcharset_refuse(L, &c->call, q.sent, q.charset))
        return 2;
    if (!q.ascii && !q.charset)
        c->call.step = choose_charset;
    lua_pushvalue(L, q.sent);
    lua_setfield(L, BODY, "Query");
    lcall_keep(L, CALL, "body", BODY);
    lcall_keep(L, CALL, "unknown", q.unknown);
    lua_pushvalue(L, CALL);
    return op_run(L, &c->call.base);
}
