#include "api/modality_methods.h"

#include <lauxlib.h>

#include "api/commitment.h"
#include "api/configuration.h"
#include "api/connect.h"
#include "api/files.h"
#include "api/find.h"
#include "api/find_result.h"
#include "api/get_and_store.h"
#include "api/identifiers.h"
#include "api/remote.h"
#include "api/move.h"
#include "api/transfer.h"
#include "api/worklist.h"
#include "binding/doc.h"
#include "binding/error.h"
#include "binding/options.h"
#include "engine/task.h"
#include "orthanc/tags.h"
#include "request/route_options.h"

const remote_kind remote_modality = { "modalua.Modality", "modality", "/modalities" };

static const char methods_key; /* of Modality's methods in the registry */

/* ---- echo ---- */

static int echo_send(lua_State *L, call *c);
static int echo_on_answer(lua_State *L, call *c);

static int l_echo(lua_State *L)
{
    struct {
        double wait_timeout;
    } o = { 0 };
    static const option rows[] = { { "wait_timeout", OPTION_SECONDS, 0 },
                                   { NULL, OPTION_FLAG, 0 } };
    call *c;
    remote_check(L, 1, &remote_modality);
    lua_settop(L, 2);
    c = remote_new_call(L, sizeof *c, "echo", echo_send); /* self options call */
    route_options_read_call(L, 2, c, &orthanc_echo, rows, &o);
    call_keep(L, 3, "body", 4);
    lua_settop(L, 3);
    return op_run(L, &c->op);
}

/* POST /modalities/{name}/echo: DICOM PS3.4 A (Verification). */
static int echo_send(lua_State *L, call *c)
{
    call_push(L, c, "body");
    return call_post(L, c, echo_on_answer, CALL_ECHO, "%s/echo", c->remote->path);
}

static int echo_on_answer(lua_State *L, call *c)
{
    if (call_answer(L, c) == 1) {
        lua_pushboolean(L, 1);
        return 1;
    }
    lua_pushboolean(L, 0);
    lua_replace(L, -3);
    return 2;
}

/* ---- the methods ---- */

/* clang-format off */
static const doc_row methods[] = {
    { "echo", l_echo,
      "modality:echo([{Timeout =, CheckFind =, wait_timeout =, extra =}]) -> true | false, "
      "err",
      "C-ECHO: whether the modality answers; else why not. Timeout (whole seconds) bounds "
      "each of Orthanc's waits; CheckFind tries a C-FIND too." },
    { "find", find_find,
      "modality:find({Level =, Query = {…}, Normalize =, LocalAet =, Timeout =, keep =, "
      "wait_timeout =, extra =} [, format]) -> found | nil, err; query is the same",
      "C-FIND: {ID = …, answers = {…}}, with found:close(), found.dropped (return keys that "
      "the level does not have), found.warning (when letters may be missing) and found.broad "
      "(whether nothing narrows the search). A filter "
      "that would be lost on its way is refused. format: {simplify = true} (default), {short "
      "= true}, or both false." },
    { "get_query_answers", find_get_query_answers,
      "modality:get_query_answers(query_id [, {simplify = true, short = false}]) -> list [, "
      "warning] | nil, err",
      "The answers of a query that the server still has, as names to values (simplify), as "
      "gggg,eeee to values (short), or as gggg,eeee to {Name =, Type =, Value =} (neither)." },
    { "move", move_move,
      "modality:move(query [, {TargetAet = | to =, all =, max =, verify =, progress =, "
      "wait_timeout =, Synchronous =, Permissive =, Priority =, Timeout =, RetrieveMethod =, Simplify =, "
      "Short =, Full =, UserData =, extra =}]) -> result | nil, err",
      "C-MOVE of what a query found (its ID, what find gave, or a Query) to an AE title, to "
      "the modality `to`, or to this Orthanc. Where the server leaves it open whether all was "
      "moved, and with verify = true, what has arrived is compared with what should have. all "
      "= true allows the query to be about everything; max refuses more answers." },
    { "get", get_and_store_get,
      "modality:get(level, resources [, {verify =, progress =, LocalAet =, Timeout =, Synchronous =, "
      "Permissive =, Priority =, UserData =, wait_timeout =, extra =}]) -> result | nil, err",
      "C-GET of one table of identifiers, or a list of them, to this Orthanc (1.12.6 and "
      "later). Before 1.12.10, and with verify = true, its success is proven by comparing "
      "what has arrived." },
    { "store", get_and_store_store,
      "modality:store(id | {id, …} [, {verify =, progress =, Synchronous =, Permissive =, Priority =, "
      "LocalAet =, CalledAet =, Host =, Port =, MoveOriginatorAet =, MoveOriginatorID =, "
      "StorageCommitment =, Timeout =, UserData =, wait_timeout =, extra =}]) -> result | "
      "nil, err",
      "C-STORE of instances, series, studies or patients, by the identifiers that this "
      "Orthanc has given them." },
    { "store_straight", files_store_straight,
      "modality:store_straight(file | {data = string} [, {progress =, wait_timeout =}]) -> "
      "{SOPClassUID =, SOPInstanceUID =} | nil, err",
      "C-STORE of a DICOM file, which this Orthanc passes on and does not keep." },
    { "configuration", configuration_get, "modality:configuration() -> table | nil, err",
      "The server's entry: AET, Host, Port, Manufacturer, AllowEcho, …, LocalAet, Timeout (0: the "
      "server's DicomScuTimeout)." },
    { "configure", configuration_set,
      "modality:configure({AET =, Host =, Port =, Manufacturer =, AllowEcho =, AllowFind =, "
      "AllowFindWorklist =, AllowGet =, AllowMove =, AllowStore =, AllowStorageCommitment =, "
      "AllowNAction =, AllowEventReport =, AllowTranscoding =, UseDicomTls =, LocalAet =, Timeout =, "
      "RetrieveMethod =, create =, extra =}) -> configuration, note | nil, err",
      "Changes what is given of the server's entry, leaves the rest as it is, and gives what the "
      "server then has; what it did not take is an error. create = true allows a new entry, which "
      "needs AET, Host and Port. The note says when the server forgets it." },
    { "remove", configuration_remove, "modality:remove() -> true | nil, err",
      "Takes the entry off the server's list; one of its configuration file comes back at the next "
      "start." },
    { "find_worklist", worklist_find,
      "modality:find_worklist(query [, {simplify = true, short =, keep =, Timeout =, wait_timeout "
      "=, extra =}]) -> list [, warning] | nil, err",
      "C-FIND of what is scheduled: {PatientID = \"\", ScheduledProcedureStepSequence = {{Modality "
      "= \"CT\"}}}. A filter in a place where modalities ignore it is refused (keep = {\"tag\"} "
      "sends it); one that the modality ignores all the same makes it fail (code filter_ignored, "
      "the answers in err.result). Formats as in find." },
    { "storage_commitment", commitment_request,
      "modality:storage_commitment(resources [, {Timeout =, wait_timeout =, extra =}]) -> "
      "commitment | nil, err",
      "Asks the modality to commit itself to keeping what it was sent: identifiers of any level "
      "that this Orthanc has given, or {SOPClassUID =, SOPInstanceUID =}, one or a list. That it "
      "took the request says nothing yet: commitment:wait() does." },
    { NULL, NULL, NULL, NULL }
};
/* clang-format on */

/* ---- the Lua half ---- */

/* is_answer(modality, v) -> boolean. Whether the modality has given v as an answer. */
static int l_is_answer(lua_State *L)
{
    const remote *m = remote_check(L, 1, &remote_modality);
    lua_settop(L, 2);
    lua_getiuservalue(L, 1, REMOTE_CLIENT);
    lua_pushboolean(L, find_result_is_answer(L, 3, 2, m->name));
    return 1;
}

/* tag(key) -> gggg,eeee, level, name | nil. The level is the uppermost that has the tag; it and the
 * name are nil where only the server can know them. */
static int l_tag(lua_State *L)
{
    char text[ORTHANC_TAG_TEXT];
    uint32_t tag;
    const orthanc_tag *row;
    int level = ORTHANC_PATIENT;
    if (!orthanc_tag_parse(luaL_checkstring(L, 1), &tag))
        return 0;
    orthanc_tag_write(tag, text);
    lua_pushstring(L, text);
    row = orthanc_tag_row(tag);
    while (level < ORTHANC_NO_LEVEL && !(row && row->levels & 1u << level))
        level++;
    lua_pushstring(L, orthanc_level_name(level));
    lua_pushstring(L, row ? row->name : NULL);
    return 3;
}

/* level(word) -> the level's name | nil. */
static int l_level(lua_State *L)
{
    lua_pushstring(L, orthanc_level_name(orthanc_level_of(luaL_checkstring(L, 1))));
    return 1;
}

void modality_methods_push_ours(lua_State *L, loop *lp)
{
    static const luaL_Reg ours[] = { { "move_one", get_and_store_move_one },
                                     { "move_options", get_and_store_move_options },
                                     { "identifiers", identifiers_keys },
                                     { "value", identifiers_value },
                                     { "is_answer", l_is_answer },
                                     { "tag", l_tag },
                                     { "level", l_level },
                                     { "fail", error_fail },
                                     { "usage", error_blame },
                                     { "spawn", task_spawn },
                                     { "sleep", task_sleep },
                                     { "now", task_now },
                                     { "show", progress_show },
                                     { "describe", doc_describe },
                                     { NULL, NULL } };
    lua_newtable(L);
    lua_pushlightuserdata(L, lp);
    luaL_setfuncs(L, ours, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &methods_key);
    lua_setfield(L, -2, "methods");
    connect_push_methods(L);
    lua_setfield(L, -2, "client_methods");
}

void modality_methods_take_theirs(lua_State *L)
{
    lua_getfield(L, -1, "resolver");
    transfer_set_resolver(L);
    lua_getfield(L, -1, "bar");
    progress_set_bar(L);
    lua_pop(L, 1);
}

/* ---- Modality(client, name) ---- */

static int l_new(lua_State *L)
{
    lua_settop(L, 3);
    return remote_from_arguments(L, doc_loop(L), &remote_modality, 1, 2);
}

static const doc_row functions[] = {
    { "Modality", l_new,
      "Modality(client, name [, {max_moves = 2}]) -> modality; RemoteModality is the same",
      "A modality by the name that the client's server gives it; no I/O happens. Of its transfers, "
      "max_moves run at once." },
    { NULL, NULL, NULL, NULL }
};

void modality_methods_open(lua_State *L, loop *lp)
{
    lua_newtable(L);
    doc_register(L, lp, methods);
    lua_getfield(L, -1, "find");
    lua_setfield(L, -2, "query"); /* one function under two names */
    remote_open(L, lp, &remote_modality);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &methods_key);
    doc_register(L, lp, functions);
    lua_getfield(L, -1, "Modality");
    lua_setfield(L, -2, "RemoteModality");
}
