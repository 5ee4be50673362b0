#include "api/client_methods.h"

#include <lauxlib.h>
#include <string.h>

#include "api/commitment.h"
#include "api/connect.h"
#include "api/files.h"
#include "api/find_result.h"
#include "api/job.h"
#include "api/native_steps.h"
#include "api/remote.h"
#include "api/modality_methods.h"
#include "api/peer.h"
#include "api/query.h"
#include "binding/doc.h"
#include "binding/options.h"
#include "json/mark.h"
#include "request/guard.h"
#include "request/response.h"
#include "request/single_request.h"

/* ---- routes ---- */

/* Pops the path on the top and pushes a request of the client at index 1. [-1, +1, v] */
static single_request *new_request(lua_State *L, const char *name, const char *method)
{
    client *c = client_check(L, 1);
    return single_request_new(L, doc_loop(L), 1, c->server, c->timeout, name, method);
}

/* The stack: client, path, query. */
static int run_read(lua_State *L, const char *name, const char *method)
{
    single_request *x;
    client_check(L, 1);
    lua_settop(L, 3);
    single_request_push_path(L, 2, 3);
    guard_check_route(L, doc_loop(L), name, client_check(L, 1)->server, method,
                      lua_tostring(L, -1));
    x = new_request(L, name, method);
    x->any_answer = true;
    return op_run(L, &x->op);
}

/* The stack: client, path, body. */
static int run_write(lua_State *L, const char *name, const char *method)
{
    single_request *x;
    client_check(L, 1);
    lua_settop(L, 3);
    single_request_push_path(L, 2, 0);
    guard_check_route(L, doc_loop(L), name, client_check(L, 1)->server, method,
                      lua_tostring(L, -1));
    x = new_request(L, name, method);
    x->any_answer = true;
    if (!single_request_set_body(L, x, 3))
        return 2;
    return op_run(L, &x->op);
}

/* GET of one of our own paths. */
static int run_get(lua_State *L, const char *name, const char *path, shape answer)
{
    single_request *x;
    client_check(L, 1);
    lua_settop(L, 1);
    lua_pushstring(L, path);
    x = new_request(L, name, "GET");
    x->shape = answer;
    return op_run(L, &x->op);
}

/* ---- the methods ---- */

static int client_l_get(lua_State *L)
{
    return run_read(L, "get", "GET");
}

static int client_l_delete(lua_State *L)
{
    return run_read(L, "delete", "DELETE");
}

static int client_l_post(lua_State *L)
{
    return run_write(L, "post", "POST");
}

static int client_l_put(lua_State *L)
{
    return run_write(L, "put", "PUT");
}

/* Removes the members that are null. */
static int system_advance(lua_State *L, op *o)
{
    int results = single_request_advance(L, o), top = lua_gettop(L);
    if (results != 1)
        return results;
    if (shape_member_differs(L, top, "Version", SHAPE_TEXT))
        return response_fail_shape(L, o, lua_tostring(L, -1));
    json_mark_drop_nulls(L);
    return 1;
}

static int client_l_system(lua_State *L)
{
    single_request *x;
    client_check(L, 1);
    lua_settop(L, 1);
    lua_pushliteral(L, "/system");
    x = new_request(L, "system", "GET");
    x->op.advance = system_advance;
    x->shape = SHAPE_OBJECT;
    return op_run(L, &x->op);
}

static int client_l_default_encoding(lua_State *L)
{
    return run_get(L, "default_encoding", "/tools/default-encoding", SHAPE_WORD);
}

static const option expand_rows[] = {
    { "expand", OPTION_FLAG, 0,
      "true: returns what the server knows of each, not the names alone" },
    OPTIONS_END
};

/* The path of a list, which has `?expand` behind it when the option says so, and the shapes of both. */
typedef struct list_route {
    const char *path, *expanded_path;
    shape shape, expanded;
} list_route;

static int run_list(lua_State *L, const char *name, const list_route *r)
{
    struct {
        bool expand;
    } o = { false };
    client_check(L, 1);
    options_read(L, 2, name, expand_rows, &o);
    return o.expand ? run_get(L, name, r->expanded_path, r->expanded)
                    : run_get(L, name, r->path, r->shape);
}

static int client_l_modalities(lua_State *L)
{
    static const list_route route = { "/modalities", "/modalities?expand", SHAPE_LIST_OF_TEXTS,
                                      SHAPE_OBJECT_OF_OBJECTS };
    return run_list(L, "modalities", &route);
}

static int client_l_peers(lua_State *L)
{
    static const list_route route = { "/peers", "/peers?expand", SHAPE_LIST_OF_TEXTS,
                                      SHAPE_OBJECT_OF_OBJECTS };
    return run_list(L, "peers", &route);
}

static int client_l_queries(lua_State *L)
{
    return run_get(L, "queries", "/queries", SHAPE_LIST_OF_HANDLES);
}

static int client_l_jobs(lua_State *L)
{
    static const list_route route = { "/jobs", "/jobs?expand", SHAPE_LIST_OF_HANDLES,
                                      SHAPE_LIST_OF_OBJECTS };
    return run_list(L, "jobs", &route);
}

static int client_l_modality(lua_State *L)
{
    lua_settop(L, 3);
    return remote_from_arguments(L, doc_loop(L), &remote_modality, 1, 2);
}

static int client_l_peer(lua_State *L)
{
    lua_settop(L, 3);
    return remote_from_arguments(L, doc_loop(L), &remote_peer, 1, 2);
}

static int client_l_query(lua_State *L)
{
    lua_settop(L, 2);
    return query_push(L, 1, 2);
}

static int client_l_job(lua_State *L)
{
    lua_settop(L, 2);
    return job_push(L, 1, 2);
}

/* The checks of methods that are written in Lua. */
static int client_l_check_self(lua_State *L)
{
    client_check(L, 1);
    return 0;
}

static int client_l_check_find(lua_State *L)
{
    client_check(L, 1);
    lua_settop(L, 2);
    luaL_checktype(L, 2, LUA_TTABLE);
    return 0;
}

static const option changes_rows[] = {
    { "since", OPTION_NUMBER, 0,
      "begins after the change with this Seq (default: 0, or with follow the last change)" },
    { "type", OPTION_VALUE, 0, "a ChangeType such as \"StableStudy\", or a list (default: all)" },
    { "follow", OPTION_FLAG, 0, "true: does not end, and waits for new changes" },
    { "interval", OPTION_SECONDS, 0,
      "how often it looks for new changes (default: 1); without effect where the host of the "
      "script tells it of them" },
    { "patience", OPTION_SECONDS, 0,
      "how long a transient failure may last with follow (default: 300)" },
    { "limit", OPTION_COUNT, 0, "changes in one request (default: 1000)" },
    OPTIONS_END
};

static const doc_row methods[] = {
    { .name = "get",
      .function = client_l_get,
      .signature = "client:get(path [, query]) -> value | nil, err",
      .help =
          "Sends GET to any route of the server. query is a table of what follows the ? in the "
          "address. JSON is returned as a table, another answer as a string. Passwords and tokens "
          "of jobs and peers are replaced by \"…\".",
      .example = "print(assert(orthanc:get \"/system\").Version)\n"
                 "print(#assert(orthanc:get(\"/changes\", { since = 0, limit = 10 })).Changes)" },
    { .name = "post",
      .function = client_l_post,
      .signature = "client:post(path [, body]) -> value | nil, err",
      .help = "Sends POST to any route of the server. A table is sent as JSON, a string as it is. "
              "It is sent once and never repeated.",
      .example = "local ids = assert(orthanc:post(\"/tools/find\", { Level = \"Patient\", Query = "
                 "{ PatientID = \"MOD-*\" } }))\n"
                 "print(#ids .. \" patients\")" },
    { .name = "put",
      .function = client_l_put,
      .signature = "client:put(path [, body]) -> value | nil, err",
      .help = "Sends PUT to any route of the server. The body is as in client:post.",
      .example = "assert(orthanc:put(\"/tools/log-level\", \"default\"))" },
    { .name = "delete",
      .function = client_l_delete,
      .signature = "client:delete(path [, query]) -> value | nil, err",
      .help = "Sends DELETE to any route of the server. query is as in client:get.",
      .example = "assert(orthanc:delete(\"/queries/\" .. found.ID))" },
    { .name = "download",
      .function = files_download,
      .signature = "client:download(path, file [, options]) -> bytes | nil, err",
      .help = "Writes the answer of any route into a file. It returns the number of bytes. The "
              "answer can have any size. file is a name, or an object of the host that is a sink "
              "(modalua.h). The file is called file.part until it is complete; after a failure "
              "nothing is left. Without wait_timeout it may last as long as bytes keep coming: the "
              "client's timeout is the longest pause. Records of jobs and peers are refused, since "
              "they can have passwords: get hides these.",
      .options = { { "options", files_download_rows, NULL } },
      .example = "assert(pacs:move(found)) -- to this Orthanc\n"
                 "local id = assert(orthanc:find { Level = \"Study\", Query = {} })[1]\n"
                 "print(assert(orthanc:download(\"/studies/\" .. id .. \"/archive\", "
                 "\"study.zip\")) .. \" bytes\")" },
    { .name = "upload",
      .function = files_upload,
      .signature = "client:upload(file [, options]) -> answer | nil, err",
      .help = "Stores a DICOM file, or a ZIP of them, in Orthanc. file is a name, { data = content "
              "}, or an object of the host that is a source. The answer has ID and Status "
              "(\"Success\" or \"AlreadyStored\"); for an archive it is a list of these.",
      .options = { { "file", files_source_rows, NULL }, { "options", call_wait_rows, NULL } },
      .example = "local stored = assert(orthanc:upload \"image.dcm\")\n"
                 "print(stored.ID, stored.Status)" },
    { .name = "system",
      .function = client_l_system,
      .signature = "client:system() -> table | nil, err",
      .help = "Returns what the server says about itself. The table has Version, DicomAet, "
              "DicomPort, Name and more (GET /system).",
      .example = "local system = assert(orthanc:system())\n"
                 "print(system.Version, system.DicomAet)" },
    { .name = "modalities",
      .function = client_l_modalities,
      .signature = "client:modalities([options]) -> list | table | nil, err",
      .help = "Returns the names of the server's modalities. It asks GET /modalities. With expand "
              "it returns a table from each name to AET, Host, Port and more.",
      .options = { { "options", expand_rows, NULL } },
      .example = "for name, settings in pairs(assert(orthanc:modalities { expand = true })) do\n"
                 "  print(name, settings.AET, settings.Host, settings.Port)\n"
                 "end" },
    { .name = "modality",
      .function = client_l_modality,
      .signature = "client:modality(name [, options]) -> modality",
      .help = "Returns a modality by its name on the server. No request is sent.",
      .options = { { "options", remote_rows, NULL } },
      .example = "local pacs = orthanc:modality(\"pacs\", { max_moves = 4 })\n"
                 "assert(pacs:echo())" },
    { .name = "peers",
      .function = client_l_peers,
      .signature = "client:peers([options]) -> list | table | nil, err",
      .help = "Returns the names of the server's peers. A peer is another Orthanc (GET /peers). "
              "With expand it returns a table from each name to Url, Username and more; settings "
              "that the server does not tell, such as Password, are json.null.",
      .options = { { "options", expand_rows, NULL } },
      .example = "for name, settings in pairs(assert(orthanc:peers { expand = true })) do\n"
                 "  print(name, settings.Url)\n"
                 "end" },
    { .name = "peer",
      .function = client_l_peer,
      .signature = "client:peer(name [, options]) -> peer",
      .help = "Returns another Orthanc by its name on the server. No request is sent.",
      .options = { { "options", remote_rows, NULL } },
      .example = "local clinic = orthanc:peer \"clinic\"\n"
                 "print(assert(clinic:system()).Name)" },
    { .name = "query",
      .function = client_l_query,
      .signature = "client:query(id) -> query",
      .help = "Returns a query that the server has, by its ID. No request is sent.",
      .example = "local query = orthanc:query(found.ID)\n"
                 "print(#assert(query:answers()) .. \" answers\")" },
    { .name = "queries",
      .function = client_l_queries,
      .signature = "client:queries() -> list | nil, err",
      .help = "Returns the IDs of the queries on the server. These are the queries of "
              "every client (GET /queries).",
      .example = "print(#assert(orthanc:queries()) .. \" queries\")" },
    { .name = "job",
      .function = client_l_job,
      .signature = "client:job(id) -> job",
      .help = "Returns a job by its ID. The { ID =, Path = } that an operation returned is right "
              "too. No request is sent.",
      .example =
          "local started = assert(pacs:move(found, { to = \"archive\", Synchronous = false }))\n"
          "assert(orthanc:job(started):wait())" },
    { .name = "jobs",
      .function = client_l_jobs,
      .signature = "client:jobs([options]) -> list | nil, err",
      .help = "Returns the IDs of the jobs that the server knows. These are the jobs that have not "
              "ended, and the last ones that have (GET /jobs). With expand it returns a table for "
              "each.",
      .options = { { "options", expand_rows, NULL } },
      .example = "for _, job in ipairs(assert(orthanc:jobs { expand = true })) do\n"
                 "  print(job.ID, job.Type, job.State)\n"
                 "end" },
    { .name = "find",
      .part = "core.local_find",
      .function = client_l_check_find,
      .signature = "client:find(data) -> list | nil, err",
      .help = "Searches what this Orthanc itself holds. It asks POST /tools/find, and returns the "
              "identifiers that Orthanc has given, or with Expand = true a table for each. The "
              "list is complete whatever the server's own limits are; when that cannot be shown, "
              "the call fails.",
      .options = { { "data", native_steps_find_rows, &orthanc_tools_find } },
      .example = "local studies = assert(orthanc:find { Level = \"Study\", Query = { StudyDate = "
                 "\"20240101-\" }, Expand = true })\n"
                 "for _, study in ipairs(studies) do print(study.ID, "
                 "study.MainDicomTags.StudyDescription) end" },
    { .name = "commitment",
      .part = "core.commitment",
      .function = client_l_check_self,
      .signature = "client:commitment(uid) -> commitment",
      .help = "Returns a storage commitment that the server knows. uid is its transaction UID: "
              "commitment.id, or StorageCommitmentTransactionUID in the result of a store. No "
              "request is sent. It does not know for what the modality was asked, so its wait() "
              "believes the modality's answer.",
      .example = "assert(pacs:move(found)) -- to this Orthanc\n"
                 "local ids = assert(orthanc:find { Level = \"Study\", Query = { PatientName = "
                 "\"SMITH*\" } })\n"
                 "local uid = assert(pacs:storage_commitment(ids)).id\n"
                 "print(assert(orthanc:commitment(uid):status()).Status)" },
    { .name = "default_encoding",
      .function = client_l_default_encoding,
      .signature = "client:default_encoding() -> string | nil, err",
      .help =
          "Returns the character set of the server. It has a name such as \"Latin1\", and the "
          "server assumes it where a file or a modality names none (GET /tools/default-encoding).",
      .example = "print(assert(orthanc:default_encoding()))" },
    { .name = "changes",
      .part = "core.changes",
      .function = client_l_check_self,
      .signature = "client:changes([options]) -> iterator",
      .help = "Iterates over what has happened on the server. It asks GET /changes, from the first "
              "change on. A change is a table with Seq, ChangeType, ID and more. The iterator "
              "throws when it fails.",
      .options = { { "options", changes_rows, NULL } },
      .example = "for change in orthanc:changes { type = \"NewStudy\" } do\n"
                 "  print(change.Seq, change.ID)\n"
                 "end" },
    { .name = "use_utf8",
      .part = "core.character_set",
      .function = client_l_check_self,
      .signature = "client:use_utf8() -> undo | nil, err",
      .help = "Sets the server's DefaultEncoding to Utf8. This holds for everybody who uses the "
              "server, until it starts again or undo() is called. Names in every writing system "
              "then keep their characters.",
      .example = "local undo = assert(orthanc:use_utf8())\n"
                 "assert(undo())" },
    { .name = NULL }
};

void client_methods_open(lua_State *L, loop *lp)
{
    find_result_open(L, lp);
    query_open(L, lp);
    job_open(L, lp);
    commitment_open(L, lp);
    modality_methods_open(L, lp);
    peer_open(L, lp);
    lua_newtable(L);
    doc_register(L, lp, methods);
    connect_open(L, lp);
}
