#include "api/find.h"

#include <lauxlib.h>
#include <string.h>

#include "api/answer_check.h"
#include "api/answer_identity.h"
#include "api/answers.h"
#include "api/find_charset.h"
#include "api/find_filter.h"
#include "api/find_plan.h"
#include "api/find_result.h"
#include "api/remote.h"
#include "binding/error.h"
#include "binding/parts.h"
#include "request/route_options.h"

typedef struct find_call {
    call call;
    orthanc_level level;
    find_plan plan;
    bool broad;        /* the query has no filter */
    bool prove;        /* what the answers do not show may be asked for */
    bool beyond_ascii; /* find_choose_charset was a step */
    bool unknown_name; /* a filter has a name that only the server can know */
    bool readable;     /* what the server cannot read is left out (core.find_readable) */
    char id[ORTHANC_ID_SIZE];
    answers_form form;
} find_call;

/* ---- the steps, in order ---- */

static int find_by_plan(lua_State *L, call *c);        /* when one C-FIND is not enough */
static int find_choose_charset(lua_State *L, call *c); /* when a filter is not ASCII */
static int find_send(lua_State *L, call *c);
static int find_on_query(lua_State *L, call *c);
static int find_readable(lua_State *L, const call *c); /* when the server cannot read an answer */
static int find_on_answers(lua_State *L, call *c);
static int find_more(lua_State *L, const call *c); /* when the answers do not show all */

/* ---- the arguments ---- */

typedef struct find_options {
    double wait_timeout;
    bool prove, relational;
} find_options;

const option find_rows[] = {
    { "keep", OPTION_TABLE, 0,
      "list of tags that are sent although they do not belong to the level, or have a value that "
      "DICOM does not" },
    { "keep_empty", OPTION_TABLE, 0,
      "list of tags: keeps answers without a value of these, although the query has a filter by "
      "them "
      "(some modalities give them for a range of dates or times that is open at its start)" },
    { "prove", OPTION_FLAG, offsetof(find_options, prove),
      "false: sends no further C-FIND for a filter whose value the answers do not show, or for an "
      "element of a list that has no answer (default: true)" },
    { "relational", OPTION_FLAG, offsetof(find_options, relational),
      "true: the modality supports relational queries, so a search for series or instances by tags "
      "of the levels above is one C-FIND; else modalua searches the studies first" },
    CALL_TIMEOUT_ROW(offsetof(find_options, wait_timeout)),
    OPTIONS_END
};

/* The stack of a find; steps find it up to CALL. */
enum { SELF = 1, DATA, FORMAT, CALL, BODY };

/* `readable`: the find may go on in parts when the server cannot read an answer. */
static int find_run(lua_State *L, bool readable)
{
    find_options o = { .prove = true };
    find_filter q = { .function = "find", .normalize = true };
    find_call *f;
    call *c;

    lua_settop(L, FORMAT);
    remote_check(L, SELF, &remote_modality);
    luaL_checktype(L, DATA, LUA_TTABLE);
    c = remote_new_call(L, sizeof *f, "find", "/query", find_send);
    f = (find_call *)c;
    route_options_read_call(L, DATA, c, &orthanc_query, find_rows, &o); /* body */
    q.level = route_options_level(L, BODY, "find");
    if (lua_getfield(L, BODY, "Normalize") == LUA_TBOOLEAN)
        q.normalize = lua_toboolean(L, -1);
    lua_pop(L, 1);
    q.query = route_options_table(L, BODY, "Query");
    q.keep = route_options_table(L, DATA, "keep");
    f->form = answers_read_format(L, FORMAT, "find");
    if (!find_filter_check(L, &q))
        return call_fail(L, c, "refused", "bad_filter", "%s", lua_tostring(L, -1));
    if (!q.ascii && q.charset && find_charset_refuse(L, c, q.sent, q.charset))
        return 2;
    f->beyond_ascii = !q.ascii && !q.charset;
    f->broad = q.broad;
    f->level = q.level;
    f->prove = o.prove;
    f->readable = readable && q.level == ORTHANC_STUDY && !q.charset;
    f->unknown_name = q.unknown_name;
    f->plan = find_plan_choose(L, q.sent, q.level, o.relational || !q.normalize);
    if (f->plan != FIND_PLAN_ONE)
        c->step = find_by_plan;
    else if (f->beyond_ascii)
        c->step = find_choose_charset;
    if (q.has_kept) {
        lua_pushboolean(L, 0);
        lua_setfield(L, BODY, "Normalize");
    }
    lua_pushvalue(L, q.sent);
    lua_setfield(L, BODY, "Query");
    call_keep(L, CALL, "body", BODY);
    call_keep(L, CALL, "dropped", q.dropped);
    lua_settop(L, CALL);
    return op_run(L, &c->op);
}

int find_find(lua_State *L)
{
    return find_run(L, true);
}

int find_once(lua_State *L)
{
    return find_run(L, false);
}

/* ---- the requests ---- */

/* Leaves the search to the Lua half, which calls find for each of its parts. */
static int find_by_plan(lua_State *L, call *c)
{
    parts_push_function(L, "core.find_plan", find_plan_name(((find_call *)c)->plan));
    lua_pushvalue(L, SELF);
    lua_pushvalue(L, DATA);
    lua_pushvalue(L, FORMAT);
    call_push(L, c, "dropped");
    lua_pushboolean(L, ((find_call *)c)->broad);
    return OP_CALL;
}

static int find_choose_charset(lua_State *L, call *c)
{
    return find_charset_choose(L, c, find_send);
}

/* POST /modalities/{name}/query: DICOM PS3.4 C.4.1 (C-FIND). */
static int find_send(lua_State *L, call *c)
{
    call_push(L, c, "body");
    return call_post_query(L, c, find_on_query, c->route);
}

/* Orthanc's message is the same for every invalid tag. Adds to the error on the top what may be
 * wrong with names that only the server can know. */
static void explain_refusal(lua_State *L, const find_call *f)
{
    lua_getfield(L, -1, "status");
    if (lua_tointeger(L, -1) == 400 && f->unknown_name && !error_is_code(L, -2, "bad_charset")) {
        lua_getfield(L, -2, "message");
        lua_pushfstring(L,
                        "%s (names are case-sensitive, and must be in the server's DICOM "
                        "dictionary; gggg,eeee always works)",
                        lua_tostring(L, -1));
        lua_setfield(L, -4, "message");
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

/* Whether the error on the top is the refusal of a modality that wants to be asked level by level: DIMSE
 * status 0xA900, the identifier does not match the SOP class (PS3.4 C.4.1.1.4). */
static bool wants_levels(lua_State *L, const call *c)
{
    enum { IDENTIFIER_DOES_NOT_MATCH = 0xA900 };
    const find_call *f = (const find_call *)c;
    int top = lua_gettop(L);
    bool wants = false;
    lua_getfield(L, top, "dimse_status");
    if (lua_tointeger(L, -1) == IDENTIFIER_DOES_NOT_MATCH && f->prove) {
        call_push(L, c, "body");
        lua_getfield(L, -1, "Query");
        wants = find_plan_can_go_down(L, lua_gettop(L), f->level);
    }
    lua_settop(L, top);
    return wants;
}

static int find_on_query(lua_State *L, call *c)
{
    find_call *f = (find_call *)c;
    if (call_answer_of(L, c, SHAPE_OBJECT) != 1) {
        if (wants_levels(L, c)) {
            f->plan = FIND_PLAN_DOWN;
            lua_settop(L, c->op.index);
            return find_by_plan(L, c);
        }
        explain_refusal(L, f);
        return f->readable && error_is_code(L, -1, "bad_charset") ? find_readable(L, c) : 2;
    }
    if (!call_push_member(L, c, c->op.index + 1, "ID", SHAPE_HANDLE))
        return 2;
    strcpy(f->id, lua_tostring(L, -1));
    return call_get(L, c, find_on_answers, "/queries/%s/answers?expand%s", f->id,
                    answers_parameters(f->form));
}

/* Pushes the end of the time for the call; nil = it has none. */
static void push_deadline(lua_State *L, const call *c)
{
    if (c->deadline > 0)
        lua_pushnumber(L, c->deadline);
    else
        lua_pushnil(L);
}

/* Leaves to the Lua half to find what the server can read. The error is on the top. */
static int find_readable(lua_State *L, const call *c)
{
    int first = c->op.index + 1;
    lua_replace(L, first);
    lua_settop(L, first);
    parts_push_function(L, "core.find_readable", "find");
    lua_insert(L, first);
    lua_createtable(L, 0, 8); /* error search */
    lua_pushvalue(L, SELF);
    lua_setfield(L, -2, "modality");
    lua_pushvalue(L, DATA);
    lua_setfield(L, -2, "data");
    lua_pushvalue(L, FORMAT);
    lua_setfield(L, -2, "format");
    lua_pushboolean(L, ((const find_call *)c)->broad);
    lua_setfield(L, -2, "broad");
    call_push(L, c, "dropped");
    lua_setfield(L, -2, "dropped");
    push_deadline(L, c);
    lua_setfield(L, -2, "deadline");
    lua_getiuservalue(L, SELF, REMOTE_CLIENT);
    lua_setfield(L, -2, "client");
    lua_pushstring(L, c->remote->name);
    lua_setfield(L, -2, "name");
    return OP_CALL;
}

/* Pushes the result of find as a table, for find_result_push. Its answers are at index `answers`, and the
 * notes, which have all that the result says of them, behind these. */
static void push_result(lua_State *L, const call *c, int answers)
{
    const find_call *f = (const find_call *)c;
    int result;
    lua_createtable(L, 0, 12);
    result = lua_gettop(L);
    lua_getiuservalue(L, SELF, REMOTE_CLIENT);
    lua_setfield(L, result, "client");
    lua_pushstring(L, f->id);
    lua_setfield(L, result, "id");
    lua_pushstring(L, c->remote->name);
    lua_setfield(L, result, "modality");
    lua_pushstring(L, orthanc_level_name(f->level));
    lua_setfield(L, result, "level");
    lua_pushboolean(L, f->broad);
    lua_setfield(L, result, "broad");
    lua_pushvalue(L, answers);
    lua_setfield(L, result, "answers");
    lua_pushvalue(L, answers + 1);
    lua_setfield(L, result, "notes");
}

static int find_on_answers(lua_State *L, call *c)
{
    const find_call *f = (const find_call *)c;
    int answers = c->op.index + 1, notes = answers + 1, result = answers + 2, query;
    bool lossy, changed;
    if (!answers_receive(L, c, f->form, &lossy))
        return 2;
    if (f->beyond_ascii)
        find_charset_add_note(L, c);
    lua_newtable(L);
    lua_insert(L, notes); /* answers notes warning */
    lua_setfield(L, notes, "characters");
    push_result(L, c, answers);
    call_push(L, c, "dropped");
    lua_setfield(L, notes, "dropped");
    call_push(L, c, "body");
    lua_getfield(L, -1, "Query");
    query = lua_gettop(L);
    lua_getfield(L, DATA, "keep_empty");
    changed = answer_check_filters(L, answers, query, query + 1, notes);
    changed = answer_identity_check(L, answers, f->level, notes) || changed;
    lua_pushboolean(L, lossy);
    lua_setfield(L, result, "lossy");
    lua_pushboolean(L, changed);
    lua_setfield(L, result, "by_resource");
    lua_getiuservalue(L, SELF, REMOTE_CLIENT);
    find_result_note_answers(L, lua_gettop(L), answers, f->level, c->remote->name);
    lua_getfield(L, notes, "unproven");
    if (f->prove && (!lua_isnil(L, -1) || find_plan_has_list(L, query))) {
        lua_settop(L, result);
        return find_more(L, c);
    }
    find_result_push(L, result);
    return 1;
}

/* Leaves to the Lua half what needs more C-FINDs. The result is on the top. */
static int find_more(lua_State *L, const call *c)
{
    int first = c->op.index + 1;
    lua_replace(L, first);
    lua_settop(L, first);
    parts_push_function(L, "core.find_proof", "finish");
    lua_insert(L, first);
    lua_pushvalue(L, SELF);
    lua_pushvalue(L, DATA);
    lua_pushvalue(L, FORMAT);
    call_push(L, c, "body");
    lua_getfield(L, -1, "Query");
    lua_replace(L, -2);
    push_deadline(L, c);
    return OP_CALL;
}

/* ---- the answers of a query, by its identifier ---- */

int find_get_query_answers(lua_State *L)
{
    const remote *r = remote_check(L, 1, &remote_modality);
    char id[ORTHANC_ID_SIZE];
    answers_form form;
    lua_settop(L, 3);
    find_result_identify(L, 2, "get_query_answers", id);
    form = answers_read_format(L, 3, "get_query_answers");
    lua_getiuservalue(L, 1, REMOTE_CLIENT);
    return answers_get(L, r->lp, 4, id, "get_query_answers", form);
}
