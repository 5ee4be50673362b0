#include "api/client_methods.h"

#include <lauxlib.h>
#include <string.h>

#include "api/commitment.h"
#include "api/connect.h"
#include "api/files.h"
#include "api/find_result.h"
#include "api/job.h"
#include "api/local_find.h"
#include "api/remote.h"
#include "api/modality_methods.h"
#include "api/peer.h"
#include "api/query.h"
#include "binding/doc.h"
#include "binding/options.h"
#include "json/mark.h"
#include "request/guard.h"
#include "request/single_request.h"

/* ---- routes ---- */

/* An exchange of the client at 1, for the path on the top. [-1, +1] */
static single_request *client_exchange(lua_State *L, const char *name, const char *method)
{
    client *c = client_check(L, 1);
    return single_request_new(L, doc_loop(L), 1, c->server, c->timeout, name, method);
}

static int read_route(lua_State *L, const char *name, const char *method)
{
    single_request *x;
    client_check(L, 1);
    lua_settop(L, 3);
    single_request_push_path(L, 2, 3);
    guard_check_route(L, doc_loop(L), name, method, lua_tostring(L, -1));
    x = client_exchange(L, name, method);
    x->any_answer = true;
    return op_run(L, &x->op);
}

static int write_route(lua_State *L, const char *name, const char *method)
{
    single_request *x;
    client_check(L, 1);
    lua_settop(L, 3);
    single_request_push_path(L, 2, 0);
    guard_check_route(L, doc_loop(L), name, method, lua_tostring(L, -1));
    x = client_exchange(L, name, method);
    x->any_answer = true;
    if (!single_request_set_body(L, x, 3))
        return 2;
    return op_run(L, &x->op);
}

static int fixed_route(lua_State *L, const char *name, const char *path)
{
    client_check(L, 1);
    lua_settop(L, 1);
    lua_pushstring(L, path);
    return op_run(L, &client_exchange(L, name, "GET")->op);
}

/* ---- the methods ---- */

static int l_get(lua_State *L)
{
    return read_route(L, "get", "GET");
}

static int l_delete(lua_State *L)
{
    return read_route(L, "delete", "DELETE");
}

static int l_post(lua_State *L)
{
    return write_route(L, "post", "POST");
}

static int l_put(lua_State *L)
{
    return write_route(L, "put", "PUT");
}

/* The members that are null are left out. */
static int system_advance(lua_State *L, op *o)
{
    int results = single_request_advance(L, o);
    if (results == 1 && lua_istable(L, -1))
        json_mark_drop_nulls(L);
    return results;
}

static int l_system(lua_State *L)
{
    single_request *x;
    client_check(L, 1);
    lua_settop(L, 1);
    lua_pushliteral(L, "/system");
    x = client_exchange(L, "system", "GET");
    x->op.advance = system_advance;
    return op_run(L, &x->op);
}

static int l_default_encoding(lua_State *L)
{
    return fixed_route(L, "default_encoding", "/tools/default-encoding");
}

static int l_modalities(lua_State *L)
{
    struct {
        bool expand;
    } o = { false };
    static const option rows[] = { { "expand", OPTION_FLAG, 0 }, { NULL, OPTION_FLAG, 0 } };
    client_check(L, 1);
    options_read(L, 2, "modalities", rows, &o);
    return fixed_route(L, "modalities", o.expand ? "/modalities?expand" : "/modalities");
}

static int l_peers(lua_State *L)
{
    struct {
        bool expand;
    } o = { false };
    static const option rows[] = { { "expand", OPTION_FLAG, 0 }, { NULL, OPTION_FLAG, 0 } };
    client_check(L, 1);
    options_read(L, 2, "peers", rows, &o);
    return fixed_route(L, "peers", o.expand ? "/peers?expand" : "/peers");
}

static int l_queries(lua_State *L)
{
    return fixed_route(L, "queries", "/queries");
}

static int l_jobs(lua_State *L)
{
    struct {
        bool expand;
    } o = { false };
    static const option rows[] = { { "expand", OPTION_FLAG, 0 }, { NULL, OPTION_FLAG, 0 } };
    client_check(L, 1);
    options_read(L, 2, "jobs", rows, &o);
    return fixed_route(L, "jobs", o.expand ? "/jobs?expand" : "/jobs");
}

static int l_modality(lua_State *L)
{
    lua_settop(L, 3);
    return remote_from_arguments(L, doc_loop(L), &remote_modality, 1, 2);
}

static int l_peer(lua_State *L)
{
    lua_settop(L, 3);
    return remote_from_arguments(L, doc_loop(L), &remote_peer, 1, 2);
}

static int l_query(lua_State *L)
{
    lua_settop(L, 2);
    return query_push(L, 1, 2);
}

static int l_job(lua_State *L)
{
    lua_settop(L, 2);
    return job_push(L, 1, 2);
}

static int l_commitment(lua_State *L)
{
    lua_settop(L, 2);
    return commitment_push(L, 1, 2);
}

static const doc_row methods[] = {
    { "get", l_get, "client:get(path [, query]) -> value | nil, err",
      "GET of any route. query is a table: {since = 0, limit = 10, expand = true}. JSON answers "
      "come as tables, others as strings." },
    { "post", l_post, "client:post(path [, body]) -> value | nil, err",
      "POST to any route. A table is sent as JSON, a string as it is. Sent once, on a fresh "
      "connection, and never repeated." },
    { "put", l_put, "client:put(path [, body]) -> value | nil, err",
      "PUT to any route; the body is as in post." },
    { "delete", l_delete, "client:delete(path [, query]) -> value | nil, err",
      "DELETE of any route; query as in get." },
    { "download", files_download,
      "client:download(path, file [, {query =, body =, progress =, wait_timeout =}]) -> bytes | "
      "nil, err",
      "GET of any route (POST when there is a body, sent as JSON) into a file, of any size. Until "
      "it is complete it is called file.part; after a failure nothing is left of it. Without "
      "wait_timeout it may take as long as it likes, while bytes come at least every `timeout` "
      "seconds of the client once they have begun to." },
    { "upload", files_upload,
      "client:upload(file | {data = string} [, {progress =, wait_timeout =}]) -> answer | nil, err",
      "Stores a DICOM file, or a ZIP archive of them, in this Orthanc: {ID =, Status = "
      "\"Success\" or \"AlreadyStored\", …}, or a list of these for an archive." },
    { "system", l_system, "client:system() -> table | nil, err",
      "What the server says of itself: Version, DicomAet, DicomPort, Name, … (GET /system)." },
    { "modalities", l_modalities, "client:modalities([{expand = true}]) -> list | table | nil, err",
      "The names of the modalities that the server knows; with expand, a table from name to AET, "
      "Host, Port, … (GET /modalities)." },
    { "modality", l_modality, "client:modality(name [, {max_moves = 2}]) -> modality",
      "A modality by the name that the server gives it; no I/O happens. Of its transfers, "
      "max_moves run "
      "at once." },
    { "peers", l_peers, "client:peers([{expand = true}]) -> list | table | nil, err",
      "The names of the other Orthancs that the server knows; with expand, a table from name to "
      "Url, "
      "Username, … (null for what there is and is not told, such as Password) (GET /peers)." },
    { "peer", l_peer, "client:peer(name [, {max_moves = 2}]) -> peer",
      "Another Orthanc by the name that the server gives it; no I/O happens. Of its transfers, "
      "max_moves run at once." },
    { "query", l_query, "client:query(id) -> query",
      "A query that the server still has, by its ID; no I/O happens." },
    { "queries", l_queries, "client:queries() -> list | nil, err",
      "The identifiers of the queries that the server keeps, everybody's (GET /queries)." },
    { "job", l_job, "client:job(id) -> job",
      "A job by its ID, or by the {ID =, Path =} that an operation gave; no I/O happens." },
    { "jobs", l_jobs, "client:jobs([{expand = true}]) -> list | nil, err",
      "The identifiers of the jobs that the server knows: those that are not finished, and the "
      "last that "
      "are; with expand, their records (GET /jobs)." },
    { "find", local_find_find,
      "client:find{Level =, Query = {…}, Expand =, Limit =, Since =, CaseSensitive =, Short =, "
      "Full "
      "=, RequestedTags =, Labels =, LabelsConstraint =, OrderBy =, ParentPatient =, ParentStudy "
      "=, "
      "ParentSeries =, MetadataQuery =, ResponseContent =, extra =} -> list | nil, err",
      "What this Orthanc itself holds (POST /tools/find): the identifiers that it gives, or with "
      "Expand = true tables. The list is never cut by the server's own limits: what cannot be "
      "shown "
      "to be complete is an error. Since costs the list up to there." },
    { "commitment", l_commitment, "client:commitment(uid) -> commitment",
      "A storage commitment that the server still knows, by its transaction UID (commitment.id, or "
      "StorageCommitmentTransactionUID in a store's result); no I/O happens. What was asked for it "
      "does not know: the report is taken as it is." },
    { "default_encoding", l_default_encoding, "client:default_encoding() -> string | nil, err",
      "The character set that the server uses where a file or a peer names none, such as "
      "\"Latin1\" (GET /tools/default-encoding)." },
    { NULL, NULL, NULL, NULL }
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
