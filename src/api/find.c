#include "api/find.h"

#include <lauxlib.h>
#include <string.h>

#include "api/answers.h"
#include "api/find_charset.h"
#include "api/find_filter.h"
#include "api/find_result.h"
#include "api/remote.h"
#include "binding/error.h"
#include "request/route_options.h"

typedef struct find_call {
    call call;
    query_facts facts;
    bool beyond_ascii; /* find_choose_charset was a step */
    bool unknown_name; /* a filter has a name that only the server can know */
    char id[ORTHANC_ID_SIZE];
    const char *format; /* the query string for the format of the answers */
} find_call;

/* ---- the steps, in order ---- */

static int find_choose_charset(lua_State *L, call *c); /* when a filter is not ASCII */
static int find_send(lua_State *L, call *c);
static int find_on_query(lua_State *L, call *c);
static int find_on_answers(lua_State *L, call *c);

/* ---- the arguments ---- */

typedef struct find_options {
    double wait_timeout;
} find_options;

const option find_rows[] = {
    { "keep", OPTION_TABLE, 0,
      "list of tags that are sent although they do not belong to the level" },
    CALL_TIMEOUT_ROW(offsetof(find_options, wait_timeout)),
    OPTIONS_END
};

/* The stack of a find; steps find it up to CALL. */
enum { SELF = 1, DATA, FORMAT, CALL, BODY };

int find_find(lua_State *L)
{
    find_options o = { 0 };
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
    f->format = answers_read_format(L, FORMAT, "find");
    if (!find_filter_check(L, &q))
        return call_fail(L, c, "refused", NULL, "%s", lua_tostring(L, -1));
    if (!q.ascii && q.charset && find_charset_refuse(L, c, q.sent, q.charset))
        return 2;
    f->beyond_ascii = !q.ascii && !q.charset;
    if (f->beyond_ascii)
        c->step = find_choose_charset;
    f->facts.broad = q.broad;
    f->facts.level = q.level;
    strcpy(f->facts.modality, c->remote->name);
    f->unknown_name = q.unknown_name;
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

/* ---- the requests ---- */

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
    if (lua_tointeger(L, -1) == 400 && f->unknown_name) {
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

static int find_on_query(lua_State *L, call *c)
{
    find_call *f = (find_call *)c;
    if (call_answer(L, c) != 1) {
        explain_refusal(L, f);
        return 2;
    }
    if (!orthanc_answer_id(c->op.transfer.body, f->id))
        return call_fail(L, c, "decode", NULL, "unexpected response: the query has no ID");
    return call_get(L, c, find_on_answers, "/queries/%s/answers?expand%s", f->id, f->format);
}

static int find_on_answers(lua_State *L, call *c)
{
    find_call *f = (find_call *)c;
    int answers = c->op.index + 1, warning = answers + 1, asker = answers + 2,
        dropped = answers + 3;
    if (call_answer(L, c) != 1)
        return 2;
    if (!answers_is_list(L))
        return call_fail(L, c, "decode", NULL, "unexpected response: the answers are not a list");
    f->facts.lossy = answers_tidy(L); /* answers warning */
    if (f->beyond_ascii)
        find_charset_add_note(L, c);
    lua_getiuservalue(L, SELF, REMOTE_CLIENT);
    call_push(L, c, "dropped");
    f->facts.count = luaL_len(L, answers);
    find_result_note_answers(L, asker, answers, f->facts.modality);
    find_result_push(L, asker, f->id, &f->facts, answers, dropped, warning);
    return 1;
}

/* ---- the answers of a query, by its identifier ---- */

int find_get_query_answers(lua_State *L)
{
    const remote *r = remote_check(L, 1, &remote_modality);
    char id[ORTHANC_ID_SIZE];
    const char *format;
    lua_settop(L, 3);
    find_result_identify(L, 2, "get_query_answers", id);
    format = answers_read_format(L, 3, "get_query_answers");
    lua_getiuservalue(L, 1, REMOTE_CLIENT);
    return answers_get(L, r->lp, 4, id, "get_query_answers", format);
}
