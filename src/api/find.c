#include "api/find.h"

#include <lauxlib.h>
#include <string.h>

#include "api/answers.h"
#include "api/find_charset.h"
#include "api/find_filter.h"
#include "api/find_result.h"
#include "api/modality.h"
#include "binding/error.h"
#include "request/route_options.h"

typedef struct find_call {
    modality_call modality;
    query_facts facts;
    bool unknown_name;
    char id[ORTHANC_ID_SIZE];
    const char *format; /* the query string of the answers */
} find_call;

/* ---- what came back ---- */

/* list warning → found */
static int found_answered(lua_State *L, call *c)
{
    find_call *f = (find_call *)c;
    int answers = c->base.index + 1, data = answers + 2, own = data + 1;
    if (call_answer(L, c) != 1)
        return 2;
    if (!answers_is_list(L))
        return call_fail(L, c, "decode", NULL, "the answers are no list");
    f->facts.lossy = answers_tidy(L); /* answers warning */
    find_charset_add_note(L, c);
    call_push_data(L, c);
    lua_getfield(L, data, "client");
    lua_getfield(L, data, "dropped");
    f->facts.count = luaL_len(L, answers);
    find_result_note_answers(L, own, answers, f->facts.modality);
    find_result_push(L, own, f->id, &f->facts, answers, own + 1, answers + 1);
    return 1;
}

/* Orthanc says of every wrong tag the same; we know which ones it alone could know. */
static void explain_refusal(lua_State *L, const find_call *f)
{
    lua_getfield(L, -1, "status");
    if (lua_tointeger(L, -1) == 400 && f->unknown_name) {
        lua_getfield(L, -2, "message");
        lua_pushfstring(L,
                        "%s (tag names are case-sensitive, and those of the server's DICOM "
                        "dictionary; gggg,eeee always works)",
                        lua_tostring(L, -1));
        lua_setfield(L, -4, "message");
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static int find_sent(lua_State *L, call *c)
{
    find_call *f = (find_call *)c;
    if (call_answer(L, c) != 1) {
        explain_refusal(L, f);
        return 2;
    }
    if (!orthanc_answer_id(c->base.transfer.body, f->id))
        return call_fail(L, c, "decode", NULL, "the server gave the query no identifier");
    return call_get(L, c, found_answered, "/queries/%s/answers?expand%s", f->id, f->format);
}

/* ---- what is asked ---- */

/* POST /modalities/{name}/query: DICOM PS3.4 C.4.1 (C-FIND). */
static int find_send(lua_State *L, call *c)
{
    call_push_data(L, c);
    lua_getfield(L, -1, "body");
    return call_post(L, c, find_sent, CALL_REMOTE, "/modalities/%s/query",
                     ((modality_call *)c)->modality->name);
}

/* The filters are not ASCII. */
static int find_encoding(lua_State *L, call *c)
{
    return find_charset_choose(L, c, find_send);
}

/* ---- the call ---- */

typedef struct find_options {
    double wait_timeout;
} find_options;

const option find_rows[] = {
    { "keep", OPTION_TABLE, 0,
      "list of tags that are sent although they do not belong to the level" },
    CALL_TIMEOUT_ROW(offsetof(find_options, wait_timeout)),
    OPTIONS_END
};

/* self data format */
int find_find(lua_State *L)
{
    enum { SELF = 1, DATA, FORMAT, BODY, CALL = FORMAT };
    find_options o = { 0 };
    filter q = { .function = "find", .normalize = true };
    find_call *f;

    modality_check(L, SELF);
    lua_settop(L, FORMAT);
    luaL_checktype(L, DATA, LUA_TTABLE);
    route_options_read(L, DATA, "find", &orthanc_query, find_rows, &o); /* … body */
    q.level = route_options_level(L, BODY, "find");
    if (lua_getfield(L, BODY, "Normalize") == LUA_TBOOLEAN)
        q.normalize = lua_toboolean(L, -1);
    lua_pop(L, 1);

    f = (find_call *)modality_new_call(L, sizeof *f, "find", find_send);
    f->format = answers_read_format(L, FORMAT, "find");
    call_set_deadline(&f->modality.call, o.wait_timeout);
    lua_replace(L, CALL);
    lua_pushfstring(L, "/modalities/%s/query", f->modality.modality->name);
    call_keep_route(L, CALL);
    q.query = route_options_table(L, BODY, "Query");
    q.keep = route_options_table(L, DATA, "keep");
    if (!find_filter_check(L, &q))
        return call_fail(L, &f->modality.call, "refused", NULL, "%s", lua_tostring(L, -1));
    if (!q.ascii && q.charset && find_charset_refuse(L, &f->modality.call, q.sent, q.charset))
        return 2;
    f->facts.broad = q.broad;
    f->facts.level = q.level;
    strcpy(f->facts.modality, f->modality.modality->name);
    f->unknown_name = q.unknown_name;
    if (!q.ascii && !q.charset)
        f->modality.call.step = find_encoding;
    if (q.keeps) {
        lua_pushboolean(L, 0);
        lua_setfield(L, BODY, "Normalize");
    }
    lua_pushvalue(L, q.sent);
    lua_setfield(L, BODY, "Query");
    lua_getiuservalue(L, SELF, MODALITY_CLIENT);
    call_keep(L, CALL, "body", BODY);
    call_keep(L, CALL, "dropped", q.dropped);
    call_keep(L, CALL, "client", -1);
    lua_pushvalue(L, CALL);
    return op_run(L, &f->modality.call.base);
}

/* ---- the answers of a query, by its identifier ---- */

int find_get_query_answers(lua_State *L)
{
    const modality *m = modality_check(L, 1);
    char id[ORTHANC_ID_SIZE];
    const char *format;
    lua_settop(L, 3);
    find_result_identify(L, 2, "get_query_answers", id);
    format = answers_read_format(L, 3, "get_query_answers");
    lua_getiuservalue(L, 1, MODALITY_CLIENT);
    return answers_get(L, m->lp, 4, id, "get_query_answers", format);
}
