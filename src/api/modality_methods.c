#include "api/modality_methods.h"

#include <lauxlib.h>

#include "api/answers.h"
#include "api/echo.h"
#include "api/files.h"
#include "api/find.h"
#include "api/get_and_store.h"
#include "api/identifiers.h"
#include "api/move.h"
#include "api/native_steps.h"
#include "api/remote.h"
#include "api/worklist.h"
#include "binding/doc.h"
#include "binding/options.h"
#include "request/route_options.h"

static const field_row fields[] = { { "modality", "string: its name on the server" },
                                    { "client", "the client that it belongs to" },
                                    { "peer", "nil; of a peer, its name" },
                                    FIELDS_END };

const remote_kind remote_modality = {
    "modalua.Modality", "modality", "/modalities", { "modality", "a modality", fields }
};

/* ---- the methods ---- */

#define LIMIT_ROW                                                                      \
    {                                                                                  \
        "limit", OPTION_COUNT, 0, "how many C-FINDs run at the same time (default: 2)" \
    }

/* The check of methods that are written in Lua. */
static int modality_l_check_self(lua_State *L)
{
    remote_check(L, 1, &remote_modality);
    return 0;
}

static const option find_each_rows[] = {
    LIMIT_ROW,
    { "patterns", OPTION_FLAG, 0,
      "true: values of an identifier may have wildcards, so that one value finds many" },
    OPTIONS_END
};

static const option find_all_rows[] = {
    { "limit_results", OPTION_COUNT, 0,
      "the most answers that the modality gives, when that is known (default: it is found out)" },
    OPTIONS_END
};

static const option children_rows[] = {
    LIMIT_ROW,
    CALL_TIMEOUT_ROW(0),
    { "LocalAet", OPTION_STRING, 0, "AE title with which Orthanc calls the modality" },
    { "Timeout", OPTION_COUNT, 0, "how long Orthanc waits for each answer of the modality" },
    { "prove", OPTION_FLAG, 0, "as in modality:find" },
    { "keep", OPTION_TABLE, 0, "as in modality:find" },
    OPTIONS_END
};

static const doc_row methods[] = {
    { .name = "echo",
      .function = echo_echo,
      .signature = "modality:echo([options]) -> true | false, err",
      .help = "Sends a C-ECHO. Returns true when the modality answers, else false and the reason.",
      .options = { { "options", call_timeout_rows, &orthanc_echo } },
      .example = "assert(pacs:echo())\n"
                 "local answers, err = pacs:echo { Timeout = 5, CheckFind = true }" },
    { .name = "find",
      .function = find_find,
      .signature = "modality:find(data [, format]) -> found | nil, err",
      .help =
          "Sends a C-FIND. found.answers is the list of answers, found.ID the query on the "
          "server; found:close(), and a <close> variable, removes it there. Otherwise it stays, "
          "also "
          "after the script has ended, since another one can use found.ID; a server keeps the last "
          "100. found.dropped lists tags that do not belong "
          "to the level, and found.broad is true when there is no filter. A filter that would be "
          "lost on its way is refused. Modalities may ignore filters: answers that contradict "
          "one are removed, and found.ignored has their number for each filter; found.unproven "
          "lists the filters whose value no answer shows. Answers that name the same resource "
          "are one; found.repeated is the number of the others. When Orthanc 1.10.1 cannot read an "
          "answer, because it does not know its character set, the search goes on in ranges of "
          "dates, and found.unreadable lists the dates of which answers are missing; a search that "
          "cannot be divided fails with the code bad_charset. found.warning says all this in "
          "words, "
          "and when names have lost characters, here or at the modality. modality:query is the "
          "same "
          "function.",
      .options = { { "data", find_rows, &orthanc_query }, { "format", answers_format_rows, NULL } },
      .example = "local found <close> = assert(pacs:find { Level = \"Study\",\n"
                 "  Query = { PatientName = \"SMITH*\", StudyDate = \"20200101-\", "
                 "StudyDescription = \"\" } })\n"
                 "for _, study in ipairs(found.answers) do\n"
                 "  print(study.StudyDate, study.PatientName, study.StudyDescription)\n"
                 "end" },
    { .name = "get_query_answers",
      .function = find_get_query_answers,
      .signature = "modality:get_query_answers(query_id [, format]) -> list | nil, err",
      .help = "Returns the answers of an earlier query. list.warning says when names may have lost "
              "characters; it is not in the JSON of the list.",
      .options = { { "format", answers_format_rows, NULL } },
      .example =
          "for _, study in ipairs(assert(pacs:get_query_answers(found.ID, { short = true }))) do\n"
          "  print(study[\"0010,0020\"])\n"
          "end" },
    { .name = "move",
      .part = "core.move",
      .function = move_check_modality,
      .signature = "modality:move(query [, options]) -> result | nil, err",
      .help = "Sends a C-MOVE for everything that a query found. It returns when all of it has "
              "been moved. query is what find returned, the ID of a query, or a Query. What the "
              "script has taken out of found.answers is not moved. At the end modalua looks at the "
              "target: result.verified is true, or false when it cannot be asked "
              "(result.unverified says why). Answers that do not name one resource are refused, "
              "and a job that moves the same already is waited for. When the modality ignored a "
              "filter, or repeated answers, each resource is moved by a request of its own, and an "
              "error has outcomes, as that of move_resources.",
      .options = { { "options", move_rows, &orthanc_retrieve } },
      .example = "assert(pacs:move(found, { to = \"archive\", max = 100 }))" },
    { .name = "get",
      .part = "core.get",
      .function = modality_l_check_self,
      .signature = "modality:get(level, resources [, options]) -> result | nil, err",
      .help = "Brings resources to this Orthanc (C-GET). Orthanc 1.12.6 and later can do that. "
              "resources is an answer, another table of identifiers, or a list of them. At the end "
              "modalua looks at what has arrived: result.verified is true, or false when the "
              "source cannot be asked.",
      .options = { { "options", get_and_store_rows, &orthanc_get } },
      .example = "assert(pacs:get(\"Study\", found.answers))" },
    { .name = "store",
      .function = get_and_store_store,
      .signature = "modality:store(ids [, options]) -> result | nil, err",
      .help = "Sends a C-STORE of what this Orthanc holds. ids is an identifier that Orthanc has "
              "given to a patient, study, series or instance, or a list of them.",
      .options = { { "options", get_and_store_rows, &orthanc_store } },
      .example = "assert(pacs:move(found)) -- to this Orthanc\n"
                 "local ids = assert(orthanc:find { Level = \"Study\", Query = { PatientName = "
                 "\"SMITH*\" } })\n"
                 "assert(archive:store(ids))" },
    { .name = "store_straight",
      .function = files_store_straight,
      .signature = "modality:store_straight(file [, options]) -> result | nil, err",
      .help = "Sends a C-STORE of a file. This Orthanc passes it on and does not keep it. file is "
              "a name, { data = content }, or an object of the host that is a source. The result "
              "has SOPClassUID and SOPInstanceUID.",
      .options = { { "file", files_source_rows, NULL }, { "options", call_wait_rows, NULL } },
      .example = "local sent = assert(archive:store_straight \"image.dcm\")\n"
                 "print(sent.SOPInstanceUID)" },
    { .name = "configuration",
      .part = "core.configuration",
      .function = remote_check_self,
      .signature = "modality:configuration() -> table | nil, err",
      .help = "Returns the server's settings of the modality. These are AET, Host, Port and the "
              "others that configure takes.",
      .example = "local settings = assert(pacs:configuration())\n"
                 "print(settings.AET, settings.Host, settings.Port)" },
    { .name = "configure",
      .part = "core.configuration",
      .function = remote_check_self,
      .signature = "modality:configure(settings) -> configuration, note | nil, err",
      .help = "Changes settings of the modality on the server. Those that are not given stay as "
              "they are. Returns the settings that the server then has; a setting that it did not "
              "take is an error. The note says when the server may forget the change.",
      .options = { { "settings", native_steps_settings_rows, &orthanc_modality_settings } },
      .example = "assert(orthanc:modality(\"ct\"):configure { AET = \"CT1\", Host = \"10.0.0.7\", "
                 "Port = 104, create = true })\n"
                 "assert(orthanc:modality(\"ct\"):configure { Timeout = 20 })" },
    { .name = "remove",
      .part = "core.configuration",
      .function = remote_check_self,
      .signature = "modality:remove() -> true | nil, err",
      .help = "Removes the modality from the server's list. A modality of the server's "
              "configuration file comes back when the server starts again.",
      .example = "local old = orthanc:modality \"old\"\n"
                 "assert(old:configure { AET = \"OLD\", Host = \"10.0.0.8\", Port = 104, create = "
                 "true })\n"
                 "assert(old:remove())" },
    { .name = "find_worklist",
      .function = worklist_find,
      .signature = "modality:find_worklist(query [, options]) -> list | nil, err",
      .help = "Asks for the worklist: what is scheduled. query is a table of tags, as for find. A "
              "filter in a place where modalities ignore it is refused. Answers that contradict a "
              "filter are removed. The list has the fields ignored, unproven and warning that "
              "found has.",
      .options = { { "options", worklist_rows, &orthanc_worklist } },
      .example = "local list = assert(pacs:find_worklist { PatientID = \"\", PatientName = \"\",\n"
                 "  ScheduledProcedureStepSequence = { { Modality = \"CT\", "
                 "ScheduledProcedureStepStartDate = \"\" } } })\n"
                 "for _, item in ipairs(list) do print(item.PatientID, item.PatientName) end" },
    { .name = "storage_commitment",
      .part = "core.commitment",
      .function = modality_l_check_self,
      .signature = "modality:storage_commitment(resources [, options]) -> commitment | nil, err",
      .help = "Asks for a promise to keep what was sent. resources is an identifier that Orthanc "
              "has given, { SOPClassUID =, SOPInstanceUID = }, or a list of these. The modality "
              "answers later: commitment:wait() returns the answer.",
      .options = { { "options", call_timeout_rows, &orthanc_commitment } },
      .example = "assert(pacs:move(found)) -- to this Orthanc\n"
                 "local ids = assert(orthanc:find { Level = \"Study\", Query = { PatientName = "
                 "\"SMITH*\" } })\n"
                 "local commitment = assert(pacs:storage_commitment(ids))\n"
                 "print(assert(commitment:wait()).Status)" },
    { .name = "find_each",
      .part = "core.find_each",
      .function = modality_l_check_self,
      .signature = "modality:find_each(tag, values [, data]) -> by_value, missing [, warning, "
                   "notes] | nil, err",
      .help = "Sends a C-FIND for each value of a list. The values are those of one tag, such as "
              "accession numbers. Returns a table from each value to the list of its answers, and "
              "a list of the values that the modality does not have. A value that is blank, would "
              "match everything, or is no value of the tag, is refused before anything is sent; so "
              "is a wildcard in a list of identifiers, unless patterns is true. notes has the "
              "fields ignored, unproven and repeated that found has. When some requests fail, "
              "err.found, err.missing and err.errors have the rest.",
      .options = { { "data", find_each_rows, NULL }, { "data", find_rows, &orthanc_query } },
      .example = "local by_value, missing = pacs:find_each(\"AccessionNumber\", { \"A100801\", "
                 "\"A0\" }, { Query = { PatientName = \"\" } })\n"
                 "assert(by_value, missing)\n"
                 "print(by_value[\"A100801\"][1].PatientName, missing[1])" },
    { .name = "find_all",
      .part = "core.find_all",
      .function = modality_l_check_self,
      .signature = "modality:find_all(data [, format]) -> iterator, walk",
      .help =
          "Iterates over all answers to a search of any size. Modalities answer a search that "
          "finds too much with an error, with some of the answers, or with nothing. So the search "
          "is divided by StudyDate, then by StudyTime and PatientID, until each part is proven to "
          "be complete; series and instances are asked for study by study. The newest studies come "
          "first, those without a date last; a range such as StudyDate = \"19000101-\" leaves "
          "these out. The iterator throws when a C-FIND fails, and at its end when a part cannot "
          "be proven (code incomplete; err.unproven lists these parts). walk.finds is the number "
          "of C-FINDs so far, walk.cap the most answers that the modality gives, and walk.warning "
          "a warning as that of find. The queries are removed from the server.",
      .options = { { "data", find_all_rows, NULL },
                   { "data", find_rows, &orthanc_query },
                   { "format", answers_format_rows, NULL } },
      .example = "local n = 0\n"
                 "for study in pacs:find_all { Level = \"Study\", Query = { StudyDate = "
                 "\"20200101-20201231\" } } do\n"
                 "  n = n + 1\n"
                 "end\n"
                 "print(n .. \" studies\")" },
    { .name = "studies",
      .part = "core.children",
      .function = modality_l_check_self,
      .signature = "modality:studies(patients [, query [, options]]) -> list | nil, err",
      .help = "Returns the studies of patients in one list. patients is an answer, a list of "
              "answers, or what find returned. query has tags to filter by, and tags to return "
              "with the value \"\".",
      .options = { { "options", children_rows, NULL } },
      .example =
          "local patients = assert(pacs:find { Level = \"Patient\", Query = { PatientName = "
          "\"SMITH*\" } })\n"
          "for _, study in ipairs(assert(pacs:studies(patients, { StudyDescription = \"\" }))) do\n"
          "  print(study.PatientID, study.StudyDescription)\n"
          "end" },
    { .name = "series",
      .part = "core.children",
      .function = modality_l_check_self,
      .signature = "modality:series(studies [, query [, options]]) -> list | nil, err",
      .help = "Returns the series of studies. They are in one list; each study needs a C-FIND. "
              "studies is an answer (a study or a patient), a list of answers, or what find "
              "returned. Each series has the UIDs that move_resources needs. When a C-FIND fails, "
              "err.parent names the study and err.found has the series so far.",
      .options = { { "options", children_rows, NULL } },
      .example = "for _, series in ipairs(assert(pacs:series(found, { Modality = \"CT\", "
                 "SeriesDescription = \"\" }))) do\n"
                 "  print(series.SeriesDescription, series.SeriesInstanceUID)\n"
                 "end" },
    { .name = "instances",
      .part = "core.children",
      .function = modality_l_check_self,
      .signature = "modality:instances(parents [, query [, options]]) -> list | nil, err",
      .help = "Returns the instances of series or studies. They are in one list. parents is an "
              "answer, a list of answers, or what find returned. For a study, modalua first finds "
              "its series; query can filter these too, as in { Modality = \"CT\" }.",
      .options = { { "options", children_rows, NULL } },
      .example = "print(#assert(pacs:instances(found, { Modality = \"CT\" })) .. \" images\")" },
    { .name = "move_resources",
      .part = "core.move_resources",
      .function = modality_l_check_self,
      .signature = "modality:move_resources(level, resources [, options]) -> outcomes | nil, err",
      .help = "Sends a C-MOVE for each resource. No query is needed. It returns a list of { "
              "resource =, result = }. resources is an answer, another table of identifiers, or a "
              "list of them; rows that name the same resource are one C-MOVE. When some fail, the "
              "others are still tried, and err.outcomes has { resource =, error = } for these. At "
              "the end modalua looks at the target for all of them together: result.verified is "
              "true, or false when it cannot be asked (result.unverified says why).",
      .options = { { "options", get_and_store_move_rows, &orthanc_move } },
      .example = "local outcomes = assert(pacs:move_resources(\"Study\", found.answers, { to = "
                 "\"archive\" }))\n"
                 "print(#outcomes .. \" studies moved\")" },
    { .name = NULL }
};

/* ---- Modality(client, name) ---- */

static int modality_l_new(lua_State *L)
{
    lua_settop(L, 3);
    return remote_from_arguments(L, doc_loop(L), &remote_modality, 1, 2);
}

static const doc_row functions[] = {
    { .name = "Modality",
      .function = modality_l_new,
      .signature = "modalua.Modality(client, name [, options]) -> modality",
      .help = "Returns a modality, as client:modality does. No request is sent. "
              "modalua.RemoteModality is the same function.",
      .options = { { "options", remote_rows, NULL } },
      .example = "local pacs = modalua.Modality(orthanc, \"pacs\")\n"
                 "assert(pacs:echo())" },
    { .name = NULL }
};

void modality_methods_open(lua_State *L, loop *lp)
{
    lua_newtable(L);
    doc_register(L, lp, methods);
    lua_getfield(L, -1, "find");
    lua_setfield(L, -2, "query"); /* one function under two names */
    remote_open(L, lp, &remote_modality);
    lua_pop(L, 1);
    doc_register(L, lp, functions);
    lua_getfield(L, -1, "Modality");
    lua_setfield(L, -2, "RemoteModality");
}
