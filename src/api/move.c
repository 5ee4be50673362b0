#include "api/move.h"

#include <lauxlib.h>
#include <string.h>

#include "api/answers.h"
#include "api/find_filter.h"
#include "api/find_result.h"
#include "api/move_target.h"
#include "api/remote.h"
#include "api/transfer.h"
#include "binding/error.h"

typedef struct move {
    transfer transfer;
    char query[ORTHANC_ID_SIZE];
    lua_Integer answer; /* the place of one answer, from 0; -1 = all answers */
    unsigned max;       /* answers that the query may have; 0 = any number */
    bool all;           /* a query without any filter may be moved */
    query_facts facts;
} move;

/* ---- the steps, in order ----
 *
 * A move of a query that this client has not sent asks the server for the query's modality, level,
 * filter and answers first. */

static int move_begin(lua_State *L, call *c);
static int move_on_modality(lua_State *L, call *c);
static int move_use_modality(lua_State *L, call *c, const char *name);
static int move_on_level(lua_State *L, call *c);
static int move_on_filter(lua_State *L, call *c);
static int move_on_answers(lua_State *L, call *c);
static int move_check(lua_State *L, call *c); /* → move_target.c → transfer.c → job_poll.c */

/* ---- the arguments ---- */

const option move_rows[] = { MOVE_TARGET_ROW,
                             { "all", OPTION_FLAG, offsetof(transfer_options, all),
                               "true: allows a query without any filter, which moves everything" },
                             { "max", OPTION_COUNT, offsetof(transfer_options, max),
                               "moves nothing when there are more answers" },
                             TRANSFER_VERIFY_ROW(offsetof(transfer_options, verify)),
                             CALL_TIMEOUT_ROW(offsetof(transfer_options, wait_timeout)),
                             CALL_PROGRESS_ROW,
                             OPTIONS_END };

/* The default is C-MOVE, and not the server's default: that may be C-GET, which ignores the
 * target. */
static void choose_method(lua_State *L, transfer *t, int body, bool has_target)
{
    const char *method;
    if (lua_getfield(L, body, "RetrieveMethod") == LUA_TNIL)
        lua_pushliteral(L, "C-MOVE");
    method = lua_tostring(L, -1);
    t->by_get = strcmp(method, "C-MOVE") != 0;
    if (t->by_get && has_target)
        error_usage(L,
                    "move: RetrieveMethod = \"%s\" brings everything to this Orthanc and ignores a "
                    "target; give one of the two",
                    method);
    if (t->by_get)
        t->call.needs.version = true; /* it decides whether a success is believed */
    else if (t->call.needs.key && strcmp(t->call.needs.key->name, "RetrieveMethod") == 0)
        t->call.needs.key = NULL; /* C-MOVE is all that older servers know */
    lua_pushstring(L, method);
    lua_setfield(L, body, "RetrieveMethod");
}

/* Moves the query's answer at that place (from 0), or all answers (-1), with the options at index. The
 * query's modality is at index `modality`; 0 = not known yet. */
static int move_run(lua_State *L, loop *lp, const char *id, const query_facts *facts, int options,
                    int client_index, int modality, lua_Integer answer)
{
    transfer_options o = { 0 };
    move *m = (move *)transfer_new(L, lp, sizeof *m, client_index, modality, "move", move_begin);
    int call_index = lua_gettop(L), body = call_index + 1;

    strcpy(m->query, id);
    m->answer = answer;
    m->facts = *facts;
    lua_pushstring(L, id);
    call_keep(L, call_index, "query", -1);
    if (answer < 0) {
        lua_pushfstring(L, "/queries/%s/retrieve", id);
    } else {
        lua_pushinteger(L, answer);
        call_keep(L, call_index, "answer", -1);
        lua_pushfstring(L, "/queries/%s/answers/%I/retrieve", id, (LUAI_UACINT)answer);
    }
    call_set_route(L, call_index);
    lua_settop(L, call_index);
    transfer_read_options(L, options, call_index, &orthanc_retrieve, move_rows, &o);
    m->max = o.max;
    m->all = o.all;
    choose_method(L, &m->transfer, body, move_target_read(L, options, body, "move", call_index));
    lua_settop(L, call_index);
    return op_run(L, &m->transfer.call.op);
}

/* POST /queries/{id}/retrieve: DICOM PS3.4 C.4.2 (C-MOVE). self query options */
int move_move(lua_State *L)
{
    enum { SELF = 1, QUERY, OPTIONS, CLIENT };
    const remote *r = remote_check(L, SELF, &remote_modality);
    char id[ORTHANC_ID_SIZE];
    query_facts facts;
    lua_settop(L, OPTIONS);
    lua_getiuservalue(L, SELF, REMOTE_CLIENT);
    find_result_identify(L, QUERY, "move", id);
    facts = find_result_facts(L, CLIENT, id);
    return move_run(L, r->lp, id, &facts, OPTIONS, CLIENT, SELF, -1);
}

int move_query(lua_State *L, loop *lp, const char *id)
{
    enum { SELF = 1, OPTIONS, NUMBER, CLIENT };
    query_facts facts = find_result_facts(L, CLIENT, id);
    lua_Integer answer = luaL_optinteger(L, NUMBER, 0);
    luaL_argcheck(L, lua_isnil(L, NUMBER) || answer >= 1, NUMBER, "answers are numbered from 1");
    return move_run(L, lp, id, &facts, OPTIONS, CLIENT, 0, answer - 1);
}

/* ---- the query's modality ---- */

static int move_begin(lua_State *L, call *c)
{
    const move *m = (const move *)c;
    if (m->facts.known)
        return move_use_modality(L, c, m->facts.modality);
    return call_get(L, c, move_on_modality, "/queries/%s/modality", m->query);
}

static int move_on_modality(lua_State *L, call *c)
{
    char name[ORTHANC_ID_SIZE];
    if (call_answer(L, c) != 1)
        return 2;
    if (lua_type(L, -1) != LUA_TSTRING || !orthanc_is_name(lua_tostring(L, -1)))
        return call_fail(L, c, "decode", NULL, "unexpected response: the query has no modality");
    strcpy(name, lua_tostring(L, -1));
    lua_settop(L, c->op.index);
    return move_use_modality(L, c, name);
}

/* The query's modality is the one that sends. query:move() gets it here; for modality:move(query) it
 * must be the same one. */
static int move_use_modality(lua_State *L, call *c, const char *name)
{
    const move *m = (const move *)c;
    if (c->remote && strcmp(c->remote->name, name) != 0)
        return call_fail(L, c, "refused", "other_modality",
                         "the query belongs to the modality '%s', not to '%s'", name,
                         c->remote->name);
    if (!c->remote) {
        call_push_client(L, c);
        c->remote = remote_push(L, c->op.lp, &remote_modality, -1, name, REMOTE_MAX_MOVES);
        call_keep(L, c->op.index, remote_modality.word, -1);
        lua_settop(L, c->op.index);
    }
    if (m->facts.known)
        return move_check(L, c);
    return call_get(L, c, move_on_level, "/queries/%s/level", m->query);
}

/* ---- what the query is about ---- */

/* The answer is Patient, Study, Series or Instance as plain text. */
static int move_on_level(lua_State *L, call *c)
{
    move *m = (move *)c;
    if (call_answer(L, c) != 1)
        return 2;
    m->facts.level =
        lua_type(L, -1) == LUA_TSTRING ? orthanc_level_of(lua_tostring(L, -1)) : ORTHANC_NO_LEVEL;
    if (m->facts.level == ORTHANC_NO_LEVEL)
        return call_fail(L, c, "decode", NULL, "unexpected response: the query has no level");
    lua_settop(L, c->op.index);
    return call_get(L, c, move_on_filter, "/queries/%s/query?short", m->query);
}

static int move_on_filter(lua_State *L, call *c)
{
    move *m = (move *)c;
    if (call_answer(L, c) != 1)
        return 2;
    m->facts.broad = !lua_istable(L, -1) || find_filter_is_broad(L, -1, m->facts.level);
    lua_settop(L, c->op.index);
    return call_get(L, c, move_on_answers, "/queries/%s/answers%s", m->query,
                    m->facts.level == ORTHANC_PATIENT ? "?expand&simplify" : "");
}

static int move_on_answers(lua_State *L, call *c)
{
    move *m = (move *)c;
    if (call_answer(L, c) != 1)
        return 2;
    if (!answers_is_list(L))
        return call_fail(L, c, "decode", NULL, "unexpected response: the answers are not a list");
    m->facts.count = (lua_Integer)lua_rawlen(L, -1);
    if (m->facts.level == ORTHANC_PATIENT)
        m->facts.lossy = answers_tidy(L);
    lua_settop(L, c->op.index);
    return move_check(L, c);
}

/* ---- whether the move is allowed ---- */

static int move_check(lua_State *L, call *c)
{
    move *m = (move *)c;
    if (m->answer < 0 && m->facts.broad && !m->all)
        return call_fail(L, c, "refused", "too_broad",
                         "this query has no filter, so it finds everything that the modality has; "
                         "add all = true "
                         "to move all of it");
    if (m->answer < 0 && m->max > 0 && m->facts.count > (lua_Integer)m->max)
        return call_fail(L, c, "refused", "too_many", "the query has %I answers, and max is %d",
                         (LUAI_UACINT)m->facts.count, (int)m->max);
    if (m->facts.level == ORTHANC_PATIENT && m->facts.lossy)
        return call_fail(
            L, c, "refused", "bad_identifier",
            "these answers have lost characters, so a PatientID may be that of another "
            "patient; find and move the studies, or set the server's DefaultEncoding "
            "(found.warning says how)");
    if (m->facts.level == ORTHANC_PATIENT)
        m->transfer.verify_reason = TRANSFER_PATIENT_LEVEL;
    c->progress.total = m->answer < 0 ? (double)m->facts.count : 1;
    c->progress.unit = "resources";
    return move_target_find(L, c);
}
