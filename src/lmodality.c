#include "lmodality.h"

#include <lauxlib.h>
#include <string.h>

#include "ldoc.h"
#include "lerror.h"
#include "lopts.h"
#include "lroute.h"
#include "ltransfer.h"
#include "task.h"

#define MODALITY_TYPE "modalua.Modality"
#define METHODS       "methods" /* their table, in the metatable */

/* ---- life ---- */

modality *lmodality_check(lua_State *L, int index)
{
    modality *m = luaL_checkudata(L, index, MODALITY_TYPE);
    luaL_argcheck(L, m->lane, index, "attempt to use a closed modality");
    return m;
}

static int modality_gc(lua_State *L)
{
    modality *m = lua_touserdata(L, 1);
    lane *l = m->lane;
    m->lane = NULL;
    lane_release(m->lp, l);
    return 0;
}

void lmodality_push(lua_State *L, loop *lp, int client_index, const char *name, unsigned max_moves)
{
    client *c = lclient_check(L, client_index);
    modality *m;
    client_index = lua_absindex(L, client_index);
    if (!orthanc_is_name(name))
        lerror_usage(L, "modality: '%s' cannot be a modality's name (letters, digits, '-' and '_')",
                     name);
    m = lua_newuserdatauv(L, sizeof *m, MODALITY_CLIENT);
    memset(m, 0, sizeof *m);
    m->lp = lp;
    m->max_moves = max_moves;
    strcpy(m->name, name);
    luaL_setmetatable(L, MODALITY_TYPE);
    lua_pushvalue(L, client_index);
    lua_setiuservalue(L, -2, MODALITY_CLIENT);
    m->lane = lane_of(lp, http_server_url(c->server), name);
    if (!m->lane)
        lerror_throw(L, "limit", "memory", "not enough memory for a modality");
}

int lmodality_from_arguments(lua_State *L, loop *lp, int client_index, int name)
{
    struct {
        unsigned max_moves;
    } o = { MODALITY_MAX_MOVES };
    static const lopt rows[] = { { "max_moves", LOPT_COUNT, 0 }, { NULL, LOPT_FLAG, 0 } };
    lclient_check(L, client_index);
    luaL_argexpected(
        L, lua_type(L, name) == LUA_TSTRING && strlen(lua_tostring(L, name)) == lua_rawlen(L, name),
        name, "name of a modality");
    lopts_read(L, name + 1, "modality", rows, &o);
    lmodality_push(L, lp, client_index, lua_tostring(L, name), o.max_moves);
    return 1;
}

modality_call *lmodality_call(lua_State *L, size_t size, const char *name, call_step first)
{
    modality *m = lmodality_check(L, 1);
    modality_call *c;
    lua_getiuservalue(L, 1, MODALITY_CLIENT);
    c = (modality_call *)lcall_new(L, m->lp, size, -1, name, first); /* client call */
    lua_remove(L, -2);
    c->modality = m;
    lcall_keep(L, lua_gettop(L), "modality", 1);
    return c;
}

/* ---- echo ---- */

static int echo_answered(lua_State *L, call *c)
{
    if (lcall_answer(L, c) == 1) {
        lua_pushboolean(L, 1);
        return 1;
    }
    lua_pushboolean(L, 0);
    lua_replace(L, -3);
    return 2;
}

/* POST /modalities/{name}/echo: DICOM PS3.4 A (Verification). */
static int echo_send(lua_State *L, call *c)
{
    lcall_push_data(L, c);
    lua_getfield(L, -1, "body");
    return lcall_post(L, c, echo_answered, CALL_ECHO, "/modalities/%s/echo",
                      ((modality_call *)c)->modality->name);
}

static int l_echo(lua_State *L)
{
    struct {
        double wait_timeout;
    } o = { 0 };
    static const lopt rows[] = { { "wait_timeout", LOPT_SECONDS, 0 }, { NULL, LOPT_FLAG, 0 } };
    modality_call *c;
    lmodality_check(L, 1);
    lua_settop(L, 2);
    lroute_read(L, 2, "echo", &orthanc_echo, rows, &o); /* self options body */
    c = lmodality_call(L, sizeof *c, "echo", echo_send);
    lcall_keep(L, 4, "body", 3);
    lcall_set_deadline(&c->call, o.wait_timeout);
    return op_run(L, &c->call.base);
}

/* ---- the object ---- */

/* The fields, then the methods (upvalue 1). */
static int l_index(lua_State *L)
{
    const modality *m = luaL_checkudata(L, 1, MODALITY_TYPE);
    const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
    if (strcmp(key, "modality") == 0)
        lua_pushstring(L, m->name);
    else if (strcmp(key, "client") == 0)
        lua_getiuservalue(L, 1, MODALITY_CLIENT);
    else {
        lua_settop(L, 2);
        lua_rawget(L, lua_upvalueindex(1));
    }
    return 1;
}

static int l_tostring(lua_State *L)
{
    const modality *m = luaL_checkudata(L, 1, MODALITY_TYPE);
    lua_pushfstring(L, "%s (%s)", MODALITY_TYPE, m->name);
    return 1;
}

static int l_new(lua_State *L)
{
    lua_settop(L, 3);
    return lmodality_from_arguments(L, ldoc_loop(L), 1, 2);
}

static const ldoc_row methods[] = {
    { "echo", l_echo,
      "modality:echo([{Timeout =, CheckFind =, wait_timeout =}]) -> true | false, err",
      "C-ECHO: whether the modality answers; else why not. Timeout (whole seconds) bounds each of "
      "Orthanc's waits; CheckFind tries a C-FIND too." },
    { "find", lfind_find,
      "modality:find({Level =, Query = {…}, Normalize =, LocalAet =, Timeout =, keep =, "
      "wait_timeout =, "
      "extra =} [, format]) -> found | nil, err; query is the same",
      "C-FIND: {ID = …, answers = {…}}, with found:close(), found.dropped (return keys that the "
      "level "
      "does not have) and found.warning (when letters may be missing). A filter that would be lost "
      "on "
      "its way is refused. format: {simplify = true} (default), {short = true}, or both false." },
    { "get_query_answers", lfind_get_query_answers,
      "modality:get_query_answers(query_id [, {simplify = true, short = false}]) -> list [, "
      "warning] | "
      "nil, err",
      "The answers of a query that the server still has, as names to values (simplify), as "
      "gggg,eeee to "
      "values (short), or as gggg,eeee to {Name =, Type =, Value =} (neither)." },
    { "move", lmove_move,
      "modality:move(query [, {TargetAet = | to =, all =, max =, wait_timeout =, Synchronous =, "
      "Permissive =, Priority =, Timeout =, RetrieveMethod =, Simplify =, Short =, Full =, "
      "UserData =, "
      "extra =}]) -> result | nil, err",
      "C-MOVE of what a query found (its ID, what find gave, or a Query) to an AE title, to the "
      "modality "
      "`to`, or to this Orthanc. A success is one: where the server does not say, what has arrived "
      "is "
      "compared. all = true allows the query to be about everything; max refuses more answers." },
    { "get", lresources_get,
      "modality:get(level, resources [, {LocalAet =, Timeout =, Synchronous =, Permissive =, "
      "Priority =, "
      "UserData =, wait_timeout =, extra =}]) -> result | nil, err",
      "C-GET of one table of identifiers, or a list of them, to this Orthanc (1.12.6 and later). "
      "Before "
      "1.12.10 its success is proven by comparing what has arrived." },
    { "store", lresources_store,
      "modality:store(id | {id, …} [, {Synchronous =, Permissive =, Priority =, LocalAet =, "
      "CalledAet =, "
      "Host =, Port =, MoveOriginatorAet =, MoveOriginatorID =, StorageCommitment =, Timeout =, "
      "UserData =, wait_timeout =, extra =}]) -> result | nil, err",
      "C-STORE of instances, series, studies or patients, by the identifiers that this Orthanc has "
      "given "
      "them." },
    { NULL, NULL, NULL, NULL }
};

/* fail(op, kind, code, message) -> err. An error object of the Lua half's. */
static int l_fail(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1), *kind = luaL_checkstring(L, 2);
    const char *code = luaL_optstring(L, 3, NULL);
    luaL_checkstring(L, 4);
    lua_settop(L, 4);
    lerror_from_message(L, kind, code);
    lerror_set(L, "op", name);
    return 1;
}

void lmodality_complete(lua_State *L, loop *lp)
{
    static const luaL_Reg ours[] = { { "move_one", lresources_move_one },
                                     { "identifiers", lresources_identifiers },
                                     { "fail", l_fail },
                                     { "sleep", task_sleep },
                                     { "describe", ldoc_describe },
                                     { NULL, NULL } };
    int chunk = lua_gettop(L);
    lua_newtable(L);
    lua_pushlightuserdata(L, lp);
    luaL_setfuncs(L, ours, 1);
    luaL_getmetatable(L, MODALITY_TYPE);
    lua_getfield(L, -1, METHODS);
    lua_setfield(L, chunk + 1, METHODS);
    lclient_push_methods(L);
    lua_setfield(L, chunk + 1, "client_methods");
    lua_pushvalue(L, chunk); /* chunk ours … chunk ours */
    lua_pushvalue(L, chunk + 1);
    lua_call(L, 1, 0);
    lua_getfield(L, chunk + 1, "resolver");
    ltransfer_set_resolver(L);
    lua_settop(L, chunk - 1);
}

static const ldoc_row functions[] = {
    { "Modality", l_new,
      "Modality(client, name [, {max_moves = 2}]) -> modality; RemoteModality is the same",
      "A modality by the name that the client's server gives it; no I/O happens. Of its transfers, "
      "max_moves run at once." },
    { NULL, NULL, NULL, NULL }
};

/* The methods table is on the top, and stays. */
static void make_metatable(lua_State *L)
{
    if (luaL_newmetatable(L, MODALITY_TYPE)) {
        lua_pushvalue(L, -2);
        lua_pushcclosure(L, l_index, 1);
        lua_setfield(L, -2, "__index");
        lua_pushvalue(L, -2);
        lua_setfield(L, -2, METHODS);
        lua_pushcfunction(L, modality_gc);
        lua_setfield(L, -2, "__gc");
        lua_pushcfunction(L, l_tostring);
        lua_setfield(L, -2, "__tostring");
        lua_pushboolean(L, 0);
        lua_setfield(L, -2, "__metatable");
    }
    lua_pop(L, 1);
}

void lmodality_open(lua_State *L, loop *lp)
{
    lua_newtable(L);
    ldoc_register(L, lp, methods);
    lua_getfield(L, -1, "find");
    lua_setfield(L, -2, "query"); /* one function under two names */
    make_metatable(L);
    lua_pop(L, 1);
    ldoc_register(L, lp, functions);
    lua_getfield(L, -1, "Modality");
    lua_setfield(L, -2, "RemoteModality");
}
