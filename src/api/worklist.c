#include "api/worklist.h"

#include <lauxlib.h>

#include "api/answer_check.h"
#include "api/answer_notes.h"
#include "api/answers.h"
#include "api/find_charset.h"
#include "api/find_plan.h"
#include "api/remote.h"
#include "api/worklist_query.h"
#include "base/nearest.h"
#include "binding/error.h"
#include "binding/parts.h"
#include "orthanc/tags.h"
#include "orthanc/worklist_tags.h"
#include "request/route_options.h"

/* ---- the steps, in order ---- */

static int worklist_by_parts(lua_State *L, call *c);       /* when times pass midnight */
static int worklist_choose_charset(lua_State *L, call *c); /* when a filter is not ASCII */
static int worklist_send(lua_State *L, call *c);
static int worklist_on_answers(lua_State *L, call *c);

static void explain_unknown_tag(lua_State *L, const call *c);

/* ---- the arguments ---- */

typedef struct worklist_options {
    double wait_timeout;
    bool simplify, brief;
} worklist_options;

typedef struct worklist_call {
    call call;
    answers_form form;
} worklist_call;

const option worklist_rows[] = {
    ANSWERS_SIMPLIFY_ROW(offsetof(worklist_options, simplify)),
    ANSWERS_SHORT_ROW(offsetof(worklist_options, brief)),
    { "keep", OPTION_TABLE, 0,
      "list of filters that are sent although modalities may ignore them, or DICOM has no such "
      "value" },
    CALL_TIMEOUT_ROW(offsetof(worklist_options, wait_timeout)),
    OPTIONS_END
};

/* The stack of a find_worklist; steps find it up to CALL. */
enum { SELF = 1, QUERY, OPTIONS, CALL, BODY, KEEP };

int worklist_find(lua_State *L)
{
    static const char *const forms[] = { "Simplify", "Short", "Full" };
    worklist_options o = { 0, false, false };
    worklist_query q = { .function = "find_worklist",
                         .route = &orthanc_worklist,
                         .options = worklist_rows,
                         .query = QUERY };
    worklist_call *w;
    call *c;

    lua_settop(L, OPTIONS);
    remote_check(L, SELF, &remote_modality);
    luaL_checktype(L, QUERY, LUA_TTABLE);
    c = remote_new_call(L, sizeof *w, q.function, "/find-worklist", worklist_send);
    w = (worklist_call *)c;
    route_options_read_call(L, OPTIONS, c, &orthanc_worklist, worklist_rows, &o); /* body */
    w->form = answers_read_form(L, OPTIONS, q.function, o.simplify, o.brief);
    lua_pushboolean(L, 1);
    lua_setfield(L, BODY, forms[w->form]);

    if (lua_istable(L, OPTIONS) && lua_getfield(L, OPTIONS, "keep") == LUA_TTABLE)
        q.keep = KEEP;
    lua_settop(L, KEEP);
    if (!worklist_query_check(L, &q))
        return call_fail(L, c, "refused", "bad_filter", "%s", lua_tostring(L, -1));
    if (!q.ascii && q.charset && find_charset_refuse(L, c, q.sent, q.charset))
        return 2;
    if (find_plan_passes_midnight(L, q.sent))
        c->step = worklist_by_parts;
    else if (!q.ascii && !q.charset)
        c->step = worklist_choose_charset;
    lua_pushvalue(L, q.sent);
    lua_setfield(L, BODY, "Query");
    call_keep(L, CALL, "body", BODY);
    call_keep(L, CALL, "unknown", q.unknown);
    lua_settop(L, CALL);
    return op_run(L, &c->op);
}

/* ---- the requests ---- */

enum { UNKNOWN_TAG = 27 }; /* OrthancStatus */

/* Leaves the search to the Lua half, which calls find_worklist for each part of the range. */
static int worklist_by_parts(lua_State *L, call *c)
{
    (void)c;
    parts_push_function(L, "core.find_plan", "worklist_parts");
    for (int i = SELF; i <= OPTIONS; i++)
        lua_pushvalue(L, i);
    return OP_CALL;
}

static int worklist_choose_charset(lua_State *L, call *c)
{
    return find_charset_choose(L, c, worklist_send);
}

/* POST /modalities/{name}/find-worklist: DICOM PS3.4 K (Basic Worklist Management). Like a C-FIND it
 * makes a remote modality work, so it is never sent twice. */
static int worklist_send(lua_State *L, call *c)
{
    call_push(L, c, "body");
    return call_post(L, c, worklist_on_answers, CALL_REMOTE, "%s", c->route);
}

static int worklist_on_answers(lua_State *L, call *c)
{
    int list = c->op.index + 1, notes = list + 1, query = list + 3;
    bool lossy;
    if (!answers_receive(L, c, ((const worklist_call *)c)->form, &lossy)) {
        explain_unknown_tag(L, c);
        return 2;
    }
    find_charset_add_note(L, c);
    lua_newtable(L);
    lua_insert(L, notes); /* list notes warning */
    lua_setfield(L, notes, "characters");
    call_push(L, c, "body");
    lua_getfield(L, -1, "Query");
    answer_check_filters(L, list, query, 0, notes);
    lua_settop(L, notes);
    answer_notes_attach(L);
    return 1;
}

/* ---- tags that the server does not know ---- */

/* Before 1.12 the server does not say which tag is unknown: it is one of those that modalua does not
 * know either. Adds these to the error on the top when the error is about an unknown tag. */
static void explain_unknown_tag(lua_State *L, const call *c)
{
    int error = lua_gettop(L), names = error + 1;
    luaL_Buffer b;
    if (lua_getfield(L, error, "orthanc_status") != LUA_TNUMBER ||
        lua_tointeger(L, -1) != UNKNOWN_TAG) {
        lua_settop(L, error);
        return;
    }
    lua_settop(L, error);
    call_push(L, c, "unknown");
    lua_getfield(L, error, "message");
    luaL_buffinit(L, &b);
    lua_pushvalue(L, names + 1);
    luaL_addvalue(&b);
    for (lua_Integer i = 1, n = (lua_Integer)lua_rawlen(L, names); i <= n; i++) {
        nearest near;
        lua_rawgeti(L, names, i);
        near = nearest_for(lua_tostring(L, -1));
        nearest_search(&near, orthanc_worklist_tags, sizeof *orthanc_worklist_tags);
        nearest_search(&near, orthanc_tags, sizeof *orthanc_tags);
        lua_pushfstring(L,
                        near.name ? "; modalua does not know %s: did you mean %s?"
                                  : "; modalua does not know %s",
                        near.word, near.name);
        lua_remove(L, -2);
        luaL_addvalue(&b);
    }
    luaL_addstring(&b, " (names are case-sensitive, and must be in the server's DICOM dictionary; "
                       "gggg,eeee always works)");
    luaL_pushresult(&b);
    error_make_shown(L, SHOWN_LINE);
    lua_setfield(L, error, "message");
    lua_settop(L, error);
}
