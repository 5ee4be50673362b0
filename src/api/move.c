#include "api/move.h"

#include <lauxlib.h>
#include <string.h>

#include "api/find_filter.h"
#include "api/find_result.h"
#include "api/move_target.h"
#include "api/remote.h"
#include "api/transfer.h"
#include "binding/doc.h"
#include "binding/error.h"
#include "request/route_options.h"

/* ---- the arguments ---- */

const option move_rows[] = {
    MOVE_TARGET_ROW,
    { "all", OPTION_FLAG, offsetof(transfer_options, all),
      "true: allows a query without any filter, which moves everything" },
    { "max", OPTION_COUNT, offsetof(transfer_options, max),
      "moves nothing when there are more resources" },
    { "unproven", OPTION_STRING, offsetof(transfer_options, unproven),
      "\"move\": allows a query with a filter that no answer shows (found.unproven)" },
    TRANSFER_VERIFY_ROW(offsetof(transfer_options, verify)),
    CALL_TIMEOUT_ROW(offsetof(transfer_options, wait_timeout)),
    CALL_PROGRESS_ROW,
    OPTIONS_END
};

/* Pushes the method that the body at index asks for. The default is C-MOVE, and not the server's
 * default: that may be C-GET, which ignores the target. [-0, +1, v] */
static const char *push_method(lua_State *L, int body, bool has_target)
{
    const char *method;
    if (lua_getfield(L, body, "RetrieveMethod") == LUA_TNIL) {
        lua_pop(L, 1);
        lua_pushliteral(L, "C-MOVE");
    }
    method = lua_tostring(L, -1);
    if (strcmp(method, "C-MOVE") != 0 && has_target)
        error_usage(L,
                    "move: RetrieveMethod = \"%s\" brings everything to this Orthanc and ignores a "
                    "target; give one of the two",
                    method);
    return method;
}

static void check_options(lua_State *L, int index)
{
    transfer_options o = { 0 };
    int body = lua_gettop(L) + 1;
    route_options_check(L, index, "move", &orthanc_retrieve, move_rows, &o);
    push_method(L, body, move_target_read(L, index, body, "move"));
    route_options_take_synchronous(L, body, "move");
    if (o.unproven && strcmp(o.unproven, "move") != 0)
        error_usage(L, "move: option 'unproven' must be \"move\" ('%s' was given)", o.unproven);
    lua_settop(L, body - 1);
}

int move_check_modality(lua_State *L)
{
    enum { SELF = 1, QUERY, OPTIONS };
    char id[ORTHANC_ID_SIZE];
    remote_check(L, SELF, &remote_modality);
    lua_settop(L, OPTIONS);
    find_result_identify(L, QUERY, "move", id);
    check_options(L, OPTIONS);
    return 0;
}

int move_check_query(lua_State *L)
{
    enum { SELF = 1, OPTIONS, NUMBER };
    find_result_check_query(L, SELF);
    lua_settop(L, NUMBER);
    luaL_argcheck(L, luaL_optinteger(L, NUMBER, 1) >= 1, NUMBER, "answers are numbered from 1");
    check_options(L, OPTIONS);
    return 0;
}

/* ---- what is known about a query ---- */

int move_facts(lua_State *L)
{
    enum { ASKER = 1, QUERY, FACTS };
    char id[ORTHANC_ID_SIZE];
    query_facts facts;
    client_check(L, ASKER);
    lua_settop(L, QUERY);
    find_result_identify(L, QUERY, "move", id);
    facts = find_result_facts(L, ASKER, id);
    lua_pushstring(L, id);
    if (!facts.known)
        return 1;
    lua_createtable(L, 0, 8);
    lua_pushboolean(L, facts.broad);
    lua_setfield(L, -2, "broad");
    lua_pushboolean(L, facts.lossy);
    lua_setfield(L, -2, "lossy");
    lua_pushboolean(L, facts.by_resource);
    lua_setfield(L, -2, "by_resource");
    lua_pushboolean(L, facts.unproven);
    lua_setfield(L, -2, "unproven");
    lua_pushstring(L, facts.modality);
    lua_setfield(L, -2, "modality");
    lua_pushstring(L, orthanc_level_name(facts.level));
    lua_setfield(L, -2, "level");
    find_result_push_known(L, ASKER, id);
    lua_setfield(L, -2, "found");
    return 2;
}

int move_is_broad(lua_State *L)
{
    orthanc_level level = orthanc_level_of(luaL_checkstring(L, 2));
    lua_settop(L, 1);
    lua_pushboolean(L, !lua_istable(L, 1) || find_filter_is_broad(L, 1, level));
    return 1;
}

/* ---- the request ---- */

/* POST /queries/{id}/retrieve: DICOM PS3.4 C.4.2 (C-MOVE). */
int move_retrieve(lua_State *L)
{
    enum { SELF = 1, OPTIONS, MORE, CLIENT, CALL, BODY };
    const remote *r = remote_check(L, SELF, &remote_modality);
    transfer_options o = { 0 };
    transfer *t;
    const char *method;
    lua_settop(L, MORE);
    luaL_checktype(L, MORE, LUA_TTABLE);
    lua_getiuservalue(L, SELF, REMOTE_CLIENT);
    t = transfer_new(L, r->lp, sizeof *t, CLIENT, SELF, "move", transfer_begin);
    transfer_make_part(L, CALL, MORE);
    lua_getfield(L, MORE, "retrieve");
    luaL_checkstring(L, -1);
    call_set_route(L, CALL);
    transfer_read_options(L, OPTIONS, CALL, &orthanc_retrieve, move_rows, &o);
    method = push_method(L, BODY, false);
    t->by_get = strcmp(method, "C-MOVE") != 0;
    lua_setfield(L, BODY, "RetrieveMethod");
    lua_getfield(L, MORE, "level");
    if (strcmp(luaL_checkstring(L, -1), orthanc_level_name(ORTHANC_PATIENT)) == 0)
        t->verify_reason = TRANSFER_PATIENT_LEVEL;
    if (t->by_get)
        t->call.needs.version = true; /* it decides whether a success is believed */
    else if (t->call.needs.key && strcmp(t->call.needs.key->name, "RetrieveMethod") == 0)
        t->call.needs.key = NULL; /* C-MOVE is all that older servers know */
    lua_getfield(L, MORE, "resources");
    t->call.progress.total = (double)lua_rawlen(L, -1);
    t->call.progress.unit = "resources";
    lua_settop(L, CALL);
    return op_run(L, &t->call.op);
}
