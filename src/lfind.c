#include "lfind.h"

#include <lauxlib.h>
#include <string.h>

#include "lanswers.h"
#include "lerror.h"
#include "lfilter.h"
#include "lfound.h"
#include "lmodality.h"
#include "lroute.h"
#include "orthanc_encoding.h"

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
    if (lcall_answer(L, c) != 1)
        return 2;
    if (!lanswers_is_list(L))
        return lcall_fail(L, c, "decode", NULL, "the answers are no list");
    f->facts.lossy = lanswers_tidy(L); /* answers warning */
    lcall_push_data(L, c);
    if (lua_getfield(L, data, "note") == LUA_TSTRING) {
        if (lua_isstring(L, answers + 1))
            lua_pushfstring(L, "%s; %s", lua_tostring(L, -1), lua_tostring(L, answers + 1));
        lua_replace(L, answers + 1);
    }
    lua_settop(L, data);
    lua_getfield(L, data, "client");
    lua_getfield(L, data, "dropped");
    f->facts.count = luaL_len(L, answers);
    lfound_note_answers(L, own, answers, f->facts.modality);
    lfound_push(L, own, f->id, &f->facts, answers, own + 1, answers + 1);
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
    if (lcall_answer(L, c) != 1) {
        explain_refusal(L, f);
        return 2;
    }
    if (!orthanc_answer_id(c->base.transfer.body, f->id))
        return lcall_fail(L, c, "decode", NULL, "the server gave the query no identifier");
    return lcall_get(L, c, found_answered, "/queries/%s/answers?expand%s", f->id, f->format);
}

/* ---- what is asked ---- */

/* POST /modalities/{name}/query: DICOM PS3.4 C.4.1 (C-FIND). */
static int find_send(lua_State *L, call *c)
{
    lcall_push_data(L, c);
    lua_getfield(L, -1, "body");
    return lcall_post(L, c, find_sent, CALL_REMOTE, "/modalities/%s/query",
                      ((modality_call *)c)->modality->name);
}

/* Whether every filter of the Query at index fits. */
static bool all_fit(lua_State *L, int query, const orthanc_encoding *e)
{
    bool fit = true;
    for (lua_pushnil(L); lua_next(L, query); lua_pop(L, 1))
        fit = fit && orthanc_encoding_holds(e, lua_tostring(L, -1));
    return fit;
}

/* The filters are not ASCII, and the server would take out what its DefaultEncoding lacks: so the
 * query says in which character set it is to be sent, the server's own, or UTF-8. */
static int encoding_answered(lua_State *L, call *c)
{
    const orthanc_encoding *own = NULL, *chosen;
    int data = c->base.index + 3;
    if (lcall_answer(L, c) == 1) {
        if (lua_type(L, -1) == LUA_TSTRING)
            own = orthanc_encoding_named(lua_tostring(L, -1));
        lua_pushnil(L); /* where an error would be */
    } else if (lerror_is_kind(L, -1, "network") || lerror_is_kind(L, -1, "timeout")) {
        return 2;
    }
    lcall_push_data(L, c);
    lua_getfield(L, data, "body");
    lua_getfield(L, -1, "Query");
    chosen =
        own && own->dicom && all_fit(L, lua_gettop(L), own) ? own : orthanc_encoding_named("Utf8");
    lua_pushstring(L, chosen->dicom);
    lua_setfield(L, -2, "0008,0005");
    if (!own && !lua_isnil(L, data - 1)) {
        lua_pushfstring(
            L, "the server does not say its DefaultEncoding (%s), so the filter was sent in UTF-8",
            (lua_getfield(L, data - 1, "message"), lua_tostring(L, -1)));
        lua_setfield(L, data, "note");
    }
    lua_settop(L, c->base.index);
    return find_send(L, c);
}

static int find_encoding(lua_State *L, call *c)
{
    return lcall_get(L, c, encoding_answered, "/tools/default-encoding");
}

/* ---- the call ---- */

typedef struct find_options {
    double wait_timeout;
} find_options;

static const lopt find_rows[] = { { "wait_timeout", LOPT_SECONDS,
                                    offsetof(find_options, wait_timeout) },
                                  { "keep", LOPT_TABLE, 0 },
                                  { NULL, LOPT_FLAG, 0 } };

/* A character set that the caller chose, and that cannot hold the filters, saves nothing. True: it
 * is so, and nil and an error are pushed. */
static bool refuse_charset(lua_State *L, const call *c, const filter *f)
{
    const orthanc_encoding *e = f->charset ? orthanc_encoding_of_dicom(f->charset) : NULL;
    if (f->ascii || !f->charset || (e && all_fit(L, f->sent, e)))
        return false;
    lcall_fail(
        L, c, "refused", NULL,
        "letters of the filters cannot be shown to exist in SpecificCharacterSet = '%s'; leave it "
        "out, or use 'ISO_IR 192' (UTF-8)",
        f->charset);
    return true;
}

/* self data format */
int lfind_find(lua_State *L)
{
    enum { SELF = 1, DATA, FORMAT, BODY, CALL = FORMAT };
    find_options o = { 0 };
    filter q = { .function = "find", .normalize = true };
    find_call *f;
    bool refused;

    lmodality_check(L, SELF);
    lua_settop(L, FORMAT);
    luaL_checktype(L, DATA, LUA_TTABLE);
    lroute_read(L, DATA, "find", &orthanc_query, find_rows, &o); /* … body */
    q.level = lroute_level(L, BODY, "find");
    if (lua_getfield(L, BODY, "Normalize") == LUA_TBOOLEAN)
        q.normalize = lua_toboolean(L, -1);
    lua_pop(L, 1);

    f = (find_call *)lmodality_call(L, sizeof *f, "find", find_send);
    f->format = lanswers_format(L, FORMAT, "find");
    lcall_set_deadline(&f->modality.call, o.wait_timeout);
    lua_replace(L, CALL);
    lua_pushfstring(L, "/modalities/%s/query", f->modality.modality->name);
    lcall_keep_route(L, CALL);
    q.query = lroute_table(L, BODY, "Query");
    q.keep = lroute_table(L, DATA, "keep");
    if (!lfilter_check(L, &q))
        return lcall_fail(L, &f->modality.call, "refused", NULL, "%s", lua_tostring(L, -1));
    refused = refuse_charset(L, &f->modality.call, &q);
    if (refused)
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
    lcall_keep(L, CALL, "body", BODY);
    lcall_keep(L, CALL, "dropped", q.dropped);
    lcall_keep(L, CALL, "client", -1);
    lua_pushvalue(L, CALL);
    return op_run(L, &f->modality.call.base);
}

/* ---- the answers of a query, by its identifier ---- */

int lfind_get_query_answers(lua_State *L)
{
    const modality *m = lmodality_check(L, 1);
    char id[ORTHANC_ID_SIZE];
    const char *format;
    lua_settop(L, 3);
    lfound_identify(L, 2, "get_query_answers", id);
    format = lanswers_format(L, 3, "get_query_answers");
    lua_getiuservalue(L, 1, MODALITY_CLIENT);
    return lanswers_get(L, m->lp, 4, id, "get_query_answers", format);
}
