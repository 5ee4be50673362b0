#include "api/modality_methods.h"

#include <lauxlib.h>

#include "api/commitment.h"
#include "api/configuration.h"
#include "api/files.h"
#include "api/find.h"
#include "api/get_and_store.h"
#include "api/modality.h"
#include "api/move.h"
#include "api/worklist.h"
#include "binding/doc.h"
#include "binding/options.h"
#include "request/route_options.h"

/* ---- echo ---- */

static int echo_answered(lua_State *L, call *c)
{
    if (call_answer(L, c) == 1) {
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
    call_push_data(L, c);
    lua_getfield(L, -1, "body");
    return call_post(L, c, echo_answered, CALL_ECHO, "/modalities/%s/echo",
                     ((modality_call *)c)->modality->name);
}

static int l_echo(lua_State *L)
{
    struct {
        double wait_timeout;
    } o = { 0 };
    static const option rows[] = { { "wait_timeout", OPTION_SECONDS, 0 },
                                   { NULL, OPTION_FLAG, 0 } };
    modality_call *c;
    modality_check(L, 1);
    lua_settop(L, 2);
    route_options_read(L, 2, "echo", &orthanc_echo, rows, &o); /* self options body */
    c = modality_new_call(L, sizeof *c, "echo", echo_send);
    call_keep(L, 4, "body", 3);
    call_set_deadline(&c->call, o.wait_timeout);
    return op_run(L, &c->call.base);
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

#define CHILDREN_ARGUMENTS \
    " [, query [, {limit = 2, LocalAet =, Timeout =, wait_timeout =}]]) -> list [, warning] | nil, err"

/* Those that are written in Lua. */
static const doc_lua_row lua_methods[] = {
    { "core.find_each",
      { "find_each", NULL,
        "modality:find_each(tag, values [, {Level =, Query = {…}, limit = 2, LocalAet =, Timeout =, "
        "Normalize =, keep =, wait_timeout =, extra =}]) -> by_value, missing [, warning] | nil, err",
        "C-FIND of each of many values, such as accession numbers, `limit` at a time: a table from the "
        "value to the list of its answers, and the list of the values that the modality does not have. "
        "A value that is blank or would match everything is refused before anything is asked. When some "
        "questions fail, err.found, err.missing and err.errors (by value) have the rest." } },
    { "core.children",
      { "studies", NULL,
        "modality:studies(patient_or_found" CHILDREN_ARGUMENTS,
        "The studies of a patient, of a list of patients, or of all that find gave, in one list; the "
        "query has tags to return and filters, as in { StudyDate = \"\" }." } },
    { "core.children",
      { "series", NULL,
        "modality:series(study_or_found" CHILDREN_ARGUMENTS,
        "The series of a study, of a list of studies or patients, or of all that find gave, in one list; "
        "one C-FIND a study, `limit` at a time. Each has the UIDs that move_resources needs. When one "
        "fails, err.parent names its study and err.found has the series so far." } },
    { "core.children",
      { "instances", NULL,
        "modality:instances(study_or_series_or_found" CHILDREN_ARGUMENTS,
        "The instances of a study or series, of a list of them, or of all that find gave, in one list: "
        "those of a study through its series, by which the query can filter too, as in { Modality = "
        "\"CT\" }." } },
    { "core.move_resources",
      { "move_resources", NULL,
        "modality:move_resources(level, resources [, {TargetAet = | to =, max =, verify =, progress =, "
        "LocalAet =, Timeout =, Priority =, Synchronous =, UserData =, wait_timeout =, extra =}]) -> "
        "outcomes | nil, err",
        "C-MOVE without a query, of a table of identifiers, an answer, or a list of them, one request "
        "each: {{resource =, result =}, …}. When some fail the others are still tried, and err.outcomes "
        "has {resource =, error =} for those; a progress function is told each as it comes (p.outcome). "
        "verify = true compares what has arrived; without it, a row that is not one of the modality's "
        "answers is at least looked for there; false believes the modality." } },
    { NULL, { NULL, NULL, NULL, NULL } }
};
/* clang-format on */

/* ---- Modality(client, name) ---- */

static int l_new(lua_State *L)
{
    lua_settop(L, 3);
    return modality_from_arguments(L, doc_loop(L), 1, 2);
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
    doc_register_lua(L, lua_methods);
    lua_getfield(L, -1, "find");
    lua_setfield(L, -2, "query"); /* one function under two names */
    modality_open(L, lp);
    lua_pop(L, 1);
    doc_register(L, lp, functions);
    lua_getfield(L, -1, "Modality");
    lua_setfield(L, -2, "RemoteModality");
}
