#include "api/move.h"

#include <lauxlib.h>
#include <string.h>

#include "api/answers.h"
#include "api/find_filter.h"
#include "api/find_result.h"
#include "api/move_target.h"
#include "api/transfer.h"
#include "binding/error.h"

typedef struct move {
    transfer transfer;
    char query[ORTHANC_ID_SIZE];
    lua_Integer answer; /* its place, from 0; -1 = all of them */
    unsigned max;       /* answers; 0 = any number */
    bool all;           /* it may be about everything */
    query_facts facts;
} move;

/* ---- whether it may be moved ---- */

static int guarded(lua_State *L, call *c)
{
    move *m = (move *)c;
    if (m->answer < 0 && m->facts.broad && !m->all)
        return call_fail(
            L, c, "refused", "too_broad",
            "nothing narrows this query, so it finds everything that the modality has; say "
            "all = true to move all of that");
    if (m->answer < 0 && m->max > 0 && m->facts.count > (lua_Integer)m->max)
        return call_fail(L, c, "refused", "too_many", "the query has %I answers, and max is %d",
                         (LUAI_UACINT)m->facts.count, (int)m->max);
    if (m->facts.level == ORTHANC_PATIENT && m->facts.lossy)
        return call_fail(L, c, "refused", "bad_identifier",
                         "letters of these answers are missing, so a PatientID may name somebody "
                         "else; find and move the studies, or set the server's DefaultEncoding "
                         "(found.warning says how)");
    if (m->facts.level == ORTHANC_PATIENT)
        m->transfer.doubt = TRANSFER_PATIENT_DOUBT;
    c->progress.total = m->answer < 0 ? (double)m->facts.count : 1;
    c->progress.unit = "resources";
    return transfer_check_version(L, c);
}

static int count_answered(lua_State *L, call *c)
{
    move *m = (move *)c;
    if (call_answer(L, c) != 1)
        return 2;
    if (!answers_is_list(L))
        return call_fail(L, c, "decode", NULL, "the answers are no list");
    m->facts.count = (lua_Integer)lua_rawlen(L, -1);
    if (m->facts.level == ORTHANC_PATIENT)
        m->facts.lossy = answers_tidy(L);
    lua_settop(L, c->base.index);
    return guarded(L, c);
}

static int filter_answered(lua_State *L, call *c)
{
    move *m = (move *)c;
    if (call_answer(L, c) != 1)
        return 2;
    m->facts.broad = !lua_istable(L, -1) || find_filter_is_broad(L, -1, m->facts.level);
    lua_settop(L, c->base.index);
    return call_get(L, c, count_answered, "/queries/%s/answers%s", m->query,
                    m->facts.level == ORTHANC_PATIENT ? "?expand&simplify" : "");
}

/* Patient, Study, Series or Instance, as plain text. */
static int level_answered(lua_State *L, call *c)
{
    move *m = (move *)c;
    if (call_answer(L, c) != 1)
        return 2;
    m->facts.level =
        lua_type(L, -1) == LUA_TSTRING ? orthanc_level_of(lua_tostring(L, -1)) : ORTHANC_NO_LEVEL;
    if (m->facts.level == ORTHANC_NO_LEVEL)
        return call_fail(L, c, "decode", NULL, "the server does not say the level of this query");
    lua_settop(L, c->base.index);
    return call_get(L, c, filter_answered, "/queries/%s/query?short", m->query);
}

/* ---- whose query it is ---- */

/* A Query knows no modality; one that is given must be the query's own, as that is who will send.
 */
static int modality_known(lua_State *L, call *c, const char *name)
{
    move *m = (move *)c;
    const modality *given = m->transfer.poll.base.modality;
    int data = c->base.index + 1;
    if (given && strcmp(given->name, name) != 0)
        return call_fail(L, c, "refused", "other_modality",
                         "the query was asked of '%s', not of '%s'", name, given->name);
    if (!given) {
        call_push_data(L, c);
        lua_getfield(L, data, "client");
        modality_push(L, c->base.lp, -1, name, MODALITY_MAX_MOVES);
        m->transfer.poll.base.modality = lua_touserdata(L, -1);
        lua_setfield(L, data, "modality");
        lua_settop(L, c->base.index);
    }
    if (m->facts.known)
        return guarded(L, c);
    return call_get(L, c, level_answered, "/queries/%s/level", m->query);
}

static int modality_answered(lua_State *L, call *c)
{
    char name[ORTHANC_ID_SIZE];
    if (call_answer(L, c) != 1)
        return 2;
    if (lua_type(L, -1) != LUA_TSTRING || !orthanc_is_name(lua_tostring(L, -1)))
        return call_fail(L, c, "decode", NULL, "the server does not say whose query this is");
    strcpy(name, lua_tostring(L, -1));
    lua_settop(L, c->base.index);
    return modality_known(L, c, name);
}

/* What this client has not asked itself, the server has to tell. */
static int begin(lua_State *L, call *c)
{
    move *m = (move *)c;
    if (m->facts.known)
        return modality_known(L, c, m->facts.modality);
    return call_get(L, c, modality_answered, "/queries/%s/modality", m->query);
}

/* ---- the call ---- */

typedef struct move_options {
    double wait_timeout;
    unsigned max;
    bool all, verify;
} move_options;

const option move_rows[] = { MOVE_TARGET_ROW,
                             { "all", OPTION_FLAG, offsetof(move_options, all),
                               "true: allows a query without any filter, which moves everything" },
                             { "max", OPTION_COUNT, offsetof(move_options, max),
                               "moves nothing when there are more answers" },
                             TRANSFER_VERIFY_ROW(offsetof(move_options, verify)),
                             CALL_TIMEOUT_ROW(offsetof(move_options, wait_timeout)),
                             CALL_PROGRESS_ROW,
                             OPTIONS_END };

/* C-MOVE is what is meant unless the caller says otherwise: the server's default may be C-GET,
 * which ignores the target. */
static void choose_method(lua_State *L, transfer *t, int body, bool has_target)
{
    const char *method;
    if (lua_getfield(L, body, "RetrieveMethod") == LUA_TNIL)
        lua_pushliteral(L, "C-MOVE");
    method = lua_tostring(L, -1);
    t->by_get = strcmp(method, "C-MOVE") != 0;
    if (t->by_get && has_target)
        error_usage(L,
                    "move: RetrieveMethod = \"%s\" brings everything to this Orthanc, whatever the "
                    "target; leave one of the two out",
                    method);
    if (!t->by_get && t->newest && strcmp(t->newest->name, "RetrieveMethod") == 0)
        t->newest = NULL; /* older servers know nothing else */
    lua_pushstring(L, method);
    lua_setfield(L, body, "RetrieveMethod");
}

/* Of the query's answer of that number, or of all (-1). The modality is at index 1, when it is
 * known. */
static int run(lua_State *L, loop *lp, const char *id, int options, int client_index,
               bool has_modality, lua_Integer answer)
{
    move_options o = { 0, 0, false, false };
    const orthanc_key *newest =
        route_options_read(L, options, "move", &orthanc_retrieve, move_rows, &o);
    int body = lua_gettop(L), call_index = body + 1;
    move *m = (move *)transfer_new(L, lp, sizeof *m, client_index, "move", begin);
    transfer *t = &m->transfer;

    strcpy(m->query, id);
    m->answer = answer;
    m->max = o.max;
    m->all = o.all;
    m->facts = find_result_facts(L, client_index, id);
    t->route = &orthanc_retrieve;
    t->newest = newest;
    t->prepared = move_target_find;
    t->doubt = o.verify ? TRANSFER_VERIFY : NULL;
    transfer_take_mode(L, t, body);
    choose_method(L, t, body, move_target_read(L, options, body, "move"));
    call_set_deadline(&t->poll.base.call, o.wait_timeout);
    call_set_progress(L, options, call_index);
    call_keep(L, call_index, "client", client_index);
    call_keep(L, call_index, "body", body);
    if (has_modality) {
        t->poll.base.modality = modality_check(L, 1);
        call_keep(L, call_index, "modality", 1);
    }
    lua_pushstring(L, id);
    call_keep(L, call_index, "query", -1);
    if (answer < 0) {
        lua_pushfstring(L, "/queries/%s/retrieve", id);
    } else {
        lua_pushinteger(L, answer);
        call_keep(L, call_index, "answer", -1);
        lua_pushfstring(L, "/queries/%s/answers/%I/retrieve", id, (LUAI_UACINT)answer);
    }
    call_keep_route(L, call_index);
    move_target_keep(L, call_index, options);
    lua_settop(L, call_index);
    return op_run(L, &t->poll.base.call.base);
}

/* POST /queries/{id}/retrieve: DICOM PS3.4 C.4.2 (C-MOVE). self query options */
int move_move(lua_State *L)
{
    const modality *m = modality_check(L, 1);
    char id[ORTHANC_ID_SIZE];
    lua_settop(L, 3);
    find_result_identify(L, 2, "move", id);
    lua_getiuservalue(L, 1, MODALITY_CLIENT);
    return run(L, m->lp, id, 3, 4, true, -1);
}

int move_query(lua_State *L, loop *lp, const char *id)
{
    lua_Integer answer = luaL_optinteger(L, 3, 0);
    luaL_argcheck(L, lua_isnil(L, 3) || answer >= 1, 3, "answers are numbered from 1");
    return run(L, lp, id, 2, 4, false, answer - 1);
}
