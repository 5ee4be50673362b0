#include "api/commitment.h"

#include <lauxlib.h>
#include <string.h>

#include "api/identifiers.h"
#include "api/remote.h"
#include "base/clock.h"
#include "binding/doc.h"
#include "binding/error.h"
#include "binding/options.h"
#include "binding/userdata.h"
#include "json/mark.h"
#include "orthanc/tags.h"
#include "request/route_options.h"

#define COMMITMENT_TYPE "modalua.Commitment"

/* Seconds between two questions: a report may take days. */
#define GAP_FIRST 0.05
#define GAP_LAST  10.0

/* Its user values: the client; a table whose keys are the SOPInstanceUIDs that were asked for, or
 * nil. */
enum { COMMITMENT_CLIENT = 1, COMMITMENT_ASKED, COMMITMENT_VALUES = COMMITMENT_ASKED };

enum { SOP_CLASS_UID = 0x00080016, SOP_INSTANCE_UID = 0x00080018 };

typedef struct commitment {
    char uid[ORTHANC_UID_SIZE];
} commitment;

/* ---- life ---- */

static commitment *check_commitment(lua_State *L, int index)
{
    return luaL_checkudata(L, index, COMMITMENT_TYPE);
}

/* Whether the value on the top is a UID. */
static bool is_uid(lua_State *L)
{
    return lua_type(L, -1) == LUA_TSTRING && orthanc_is_uid(lua_tostring(L, -1)) &&
           strlen(lua_tostring(L, -1)) == lua_rawlen(L, -1);
}

static int push_commitment(lua_State *L, int client_index, const char *uid)
{
    commitment *m = lua_newuserdatauv(L, sizeof *m, COMMITMENT_VALUES);
    strcpy(m->uid, uid);
    luaL_setmetatable(L, COMMITMENT_TYPE);
    lua_pushvalue(L, client_index);
    lua_setiuservalue(L, -2, COMMITMENT_CLIENT);
    return 1;
}

int commitment_push(lua_State *L, int client_index, int uid)
{
    client_check(L, client_index);
    lua_pushvalue(L, uid);
    if (!is_uid(L))
        error_usage(L, "commitment: a transaction UID is expected (digits and dots, at most 64)");
    return push_commitment(L, client_index, lua_tostring(L, -1));
}

/* ---- the request ---- */

static int requested(lua_State *L, call *c)
{
    int answer = c->op.index + 1, data = answer + 2;
    if (call_answer(L, c) != 1)
        return 2;
    if (!lua_istable(L, answer) || (lua_getfield(L, answer, "ID"), !is_uid(L)))
        return call_fail(L, c, "decode", NULL,
                         "the server gave the storage commitment no transaction UID");
    call_push_data(L, c);
    lua_getfield(L, data, "client");
    push_commitment(L, data + 1, lua_tostring(L, answer + 1));
    lua_getfield(L, data, "asked");
    lua_setiuservalue(L, -2, COMMITMENT_ASKED);
    return 1;
}

static int request(lua_State *L, call *c)
{
    call_push_data(L, c);
    lua_getfield(L, -1, "body");
    return call_post(L, c, requested, CALL_REMOTE, "/modalities/%s/storage-commitment",
                     c->remote->name);
}

/* The instances under the identifiers, as Orthanc describes them, join those that are asked for. */
static int instances_known(lua_State *L, call *c)
{
    int list = c->op.index + 1, asked = list + 2;
    if (call_answer(L, c) != 1)
        return 2;
    call_push_data(L, c);
    lua_getfield(L, -1, "asked");
    for (lua_Integer i = 1, n = lua_istable(L, list) ? luaL_len(L, list) : 0; i <= n; i++) {
        if (lua_geti(L, list, i) != LUA_TTABLE ||
            lua_getfield(L, -1, "MainDicomTags") != LUA_TTABLE ||
            !identifiers_push_tag(L, lua_gettop(L), SOP_INSTANCE_UID))
            return call_fail(L, c, "decode", NULL,
                             "what the server says of its instances makes no sense");
        lua_pushboolean(L, 1);
        lua_rawset(L, asked);
        lua_settop(L, asked);
    }
    lua_settop(L, c->op.index);
    return request(L, c);
}

/* A report is to be compared with what was asked for, so that must be known beforehand. */
static int find_instances(lua_State *L, call *c)
{
    lua_newtable(L);
    call_push_data(L, c);
    lua_getfield(L, -1, "body");
    lua_getfield(L, -1, "Resources");
    lua_setfield(L, c->op.index + 1, "Resources");
    lua_settop(L, c->op.index + 1);
    lua_pushliteral(L, "Instance");
    lua_setfield(L, -2, "Level");
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, "Short");
    return call_post(L, c, instances_known, CALL_LOCAL, "/tools/bulk-content");
}

/* The arguments, from self on; the last are ours: what goes to Orthanc, the call, and the lists of
 * what is to be committed, by Orthanc's identifiers and by DICOM's, and the set of instances. */
enum { SELF = 1, RESOURCES, OPTIONS, BODY, CALL, STORED, INSTANCES, ASKED };

/* Sets a field of the table on the top to the UID of the row at index, resource number n; false: a
 * message is pushed. */
static bool take_uid(lua_State *L, int row, uint32_t tag, lua_Integer n)
{
    const char *name = orthanc_tag_row(tag)->name;
    if (!identifiers_push_tag(L, row, tag)) {
        lua_pushfstring(L,
                        "resource %I has no %s, which storage commitment needs (of answers, ask "
                        "for it: %s = \"\")",
                        (LUAI_UACINT)n, name, name);
        return false;
    }
    if (!is_uid(L)) {
        lua_pushfstring(L, "resource %I: %s = '%s' is no UID", (LUAI_UACINT)n, name,
                        lua_tostring(L, -1));
        return false;
    }
    lua_setfield(L, -2, name);
    return true;
}

/* Takes the resource on the top, number n. False: a message is pushed. */
static bool take_resource(lua_State *L, lua_Integer n)
{
    int row = lua_gettop(L), list = lua_istable(L, row) ? INSTANCES : STORED;
    if (list == STORED) {
        if (!identifiers_check_stored(L, "storage_commitment", n))
            return false;
    } else {
        lua_newtable(L);
        if (!take_uid(L, row, SOP_CLASS_UID, n) || !take_uid(L, row, SOP_INSTANCE_UID, n))
            return false;
        lua_getfield(L, -1, "SOPInstanceUID");
        lua_pushboolean(L, 1);
        lua_rawset(L, ASKED);
    }
    lua_rawseti(L, list, (lua_Integer)lua_rawlen(L, list) + 1);
    return true;
}

/* Takes all of them. False: a message is pushed. */
static bool take_resources(lua_State *L)
{
    bool several = lua_istable(L, RESOURCES);
    lua_Integer n = several ? luaL_len(L, RESOURCES) : 1;
    if (several && n == 0) {
        lua_pushnil(L);
        several = !lua_next(L, RESOURCES); /* else one instance, or an answer */
        lua_settop(L, ASKED);
    }
    if (several && n == 0) {
        lua_pushliteral(L, "no resource is given");
        return false;
    }
    for (lua_Integer i = 1; i <= (several ? n : 1); i++) {
        if (several)
            lua_geti(L, RESOURCES, i);
        else
            lua_pushvalue(L, RESOURCES);
        if (!take_resource(L, i))
            return false;
        lua_settop(L, ASKED);
    }
    return true;
}

/* Pushes the lists and the set. */
static void push_lists(lua_State *L)
{
    lua_settop(L, CALL);
    lua_newtable(L);
    json_mark_array(L);
    lua_newtable(L);
    json_mark_array(L);
    lua_newtable(L);
}

static void set_list(lua_State *L, const char *name, int list)
{
    if (lua_rawlen(L, list) == 0)
        return;
    lua_pushvalue(L, list);
    lua_setfield(L, BODY, name);
}

/* self resources options */
int commitment_request(lua_State *L)
{
    struct {
        double wait_timeout;
    } o = { 0 };
    const orthanc_key *newest;
    call *c;

    remote_check(L, SELF, &remote_modality);
    lua_settop(L, OPTIONS);
    newest = route_options_read(L, OPTIONS, "storage_commitment", &orthanc_commitment,
                                call_timeout_rows, &o); /* … body */

    c = remote_new_call(L, sizeof *c, "storage_commitment", "/storage-commitment", request);
    c->needs.key = newest;
    c->deadline = clock_after(o.wait_timeout);

    push_lists(L);
    if (!take_resources(L))
        return call_fail(L, c, "refused", "bad_identifier", "%s", lua_tostring(L, -1));
    if (lua_rawlen(L, STORED) > 0)
        c->step = find_instances;
    set_list(L, "Resources", STORED);
    set_list(L, "DicomInstances", INSTANCES);
    lua_getiuservalue(L, SELF, REMOTE_CLIENT);
    call_keep(L, CALL, "client", -1);
    call_keep(L, CALL, "body", BODY);
    call_keep(L, CALL, "asked", ASKED);
    lua_settop(L, CALL);
    return op_run(L, &c->op);
}

/* ---- a call on a commitment ---- */

typedef struct commitment_call {
    call call;
    char uid[ORTHANC_UID_SIZE];
    double begun, heard; /* when the waiting began, and when the server last spoke of it */
} commitment_call;

/* Pushes a call on the commitment at 1. */
static commitment_call *push_call(lua_State *L, const char *name, call_step first)
{
    const commitment *m = check_commitment(L, 1);
    commitment_call *c;
    lua_getiuservalue(L, 1, COMMITMENT_CLIENT);
    c = (commitment_call *)call_new(L, doc_loop(L), sizeof *c, -1, name, first);
    strcpy(c->uid, m->uid);
    return c;
}

static int ask_status(lua_State *L, call *c)
{
    return call_get(L, c, call_answer, "/storage-commitment/%s", ((commitment_call *)c)->uid);
}

static int l_status(lua_State *L)
{
    lua_settop(L, 1);
    return op_run(L, &push_call(L, "status", ask_status)->call.op);
}

/* ---- what the modality has reported ---- */

/* Pushes the list of that name in the status at index, or an empty one; returns its length. */
static lua_Integer push_list(lua_State *L, int status, const char *name)
{
    if (lua_getfield(L, status, name) != LUA_TTABLE) {
        lua_pop(L, 1);
        lua_newtable(L);
    }
    return luaL_len(L, -1);
}

/* Pushes a text field of the table at index, or what stands for it. */
static const char *push_text(lua_State *L, int table, const char *name, const char *otherwise)
{
    if (!lua_istable(L, table) || lua_getfield(L, table, name) != LUA_TSTRING)
        lua_pushstring(L, otherwise);
    return lua_tostring(L, -1);
}

/* The first of the failures, at index, speaks for all. */
static int failed(lua_State *L, const call *c, int status, lua_Integer failures)
{
    lua_Integer all = failures + push_list(L, status, "Success");
    int first = lua_gettop(L) + 1;
    const char *uid, *why;
    push_list(L, status, "Failures");
    lua_geti(L, -1, 1);
    lua_replace(L, first);
    uid = push_text(L, first, "SOPInstanceUID", "which it does not name");
    why = push_text(L, first, "Description", "it gives no reason");
    if (failures == 0)
        call_fail(L, c, "dicom", "not_committed",
                  "the modality does not commit itself to keeping this, and does not say what of "
                  "it");
    else
        call_fail(L, c, "dicom", "not_committed",
                  "the modality does not commit itself to keeping %I of %I instances; the first "
                  "of them, %s: %s",
                  (LUAI_UACINT)failures, (LUAI_UACINT)all, uid, why);
    lua_pushvalue(L, status);
    lua_setfield(L, -2, "result");
    return 2;
}

/* Pushes the list of what was asked for and is not confirmed; of a commitment that does not know
 * what was, an empty one. Returns how many were asked for, 0 = not known. */
static lua_Integer push_missing(lua_State *L, const call *c, int confirmed, lua_Integer n)
{
    lua_Integer all = 0;
    int missing = lua_gettop(L) + 1, there = missing + 1, data = there + 1;
    lua_newtable(L);
    json_mark_array(L);
    lua_newtable(L);
    for (lua_Integer i = 1; i <= n; i++) {
        if (lua_geti(L, confirmed, i) == LUA_TTABLE &&
            lua_getfield(L, -1, "SOPInstanceUID") == LUA_TSTRING) {
            lua_pushboolean(L, 1);
            lua_rawset(L, there);
        }
        lua_settop(L, there);
    }
    call_push_data(L, c);
    if (lua_getfield(L, data, "asked") == LUA_TTABLE)
        for (lua_pushnil(L); lua_next(L, data + 1); lua_settop(L, data + 2)) {
            all++;
            lua_pushvalue(L, data + 2);
            if (lua_rawget(L, there) != LUA_TNIL)
                continue;
            lua_pushvalue(L, data + 2);
            lua_rawseti(L, missing, (lua_Integer)lua_rawlen(L, missing) + 1);
        }
    lua_settop(L, missing);
    return all;
}

/* A success is one when it names all that was asked for, or, of a commitment that does not know
 * what was, anything. */
static int confirmed(lua_State *L, const call *c, int status)
{
    lua_Integer n = push_list(L, status, "Success");
    lua_Integer all = push_missing(L, c, status + 1, n);
    int missing = status + 2;
    if (n > 0 && lua_rawlen(L, missing) == 0) {
        lua_settop(L, status);
        return 1;
    }
    if (all > 0)
        call_fail(L, c, "unknown", "unproven",
                  "the modality reports success, but its report does not name %I of the %I "
                  "instances that were asked for",
                  (LUAI_UACINT)lua_rawlen(L, missing), (LUAI_UACINT)all);
    else
        call_fail(L, c, "unknown", "unproven",
                  "the modality reports success, but its report names no instance");
    lua_pushvalue(L, missing);
    lua_setfield(L, -2, "missing");
    lua_pushvalue(L, status);
    lua_setfield(L, -2, "result");
    return 2;
}

/* ---- wait ---- */

static int ask(lua_State *L, call *c);

static int too_late(lua_State *L, const commitment_call *w)
{
    call_fail(L, &w->call, "timeout", NULL,
              "wait_timeout is over, and the modality has not reported yet, which may take it "
              "days; client:commitment(\"%s\"):wait() goes on waiting",
              w->uid);
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, "still_running");
    return 2;
}

/* Asks again after a while. */
static int wait(lua_State *L, commitment_call *w)
{
    call *c = &w->call;
    double gap = call_poll_delay(w->begun, c->deadline, GAP_FIRST, GAP_LAST);
    if (gap == 0)
        return too_late(L, w);
    c->step = ask;
    return op_sleep(L, &c->op, gap);
}

/* nil and the error are on the top. */
static int unheard(lua_State *L, commitment_call *w)
{
    call *c = &w->call;
    int error = lua_gettop(L);
    if (call_is_transient(L, c->client, w->heard)) {
        lua_settop(L, c->op.index);
        return wait(L, w);
    }
    lua_getfield(L, error, "message");
    lua_pushfstring(L,
                    error_is_code(L, error, "commitment_gone")
                        ? "%s; what the modality has reported, or will, is not known"
                        : "%s; the modality may still report: client:commitment(\"%s\"):wait() "
                          "goes on waiting",
                    lua_tostring(L, -1), w->uid);
    lua_setfield(L, error, "message");
    lua_settop(L, error);
    return 2;
}

static int answered(lua_State *L, call *c)
{
    commitment_call *w = (commitment_call *)c;
    const char *state = "";
    int status = c->op.index + 1;
    lua_Integer failures;
    if (call_answer(L, c) != 1)
        return unheard(L, w);
    w->heard = clock_now();
    if (lua_istable(L, status) && lua_getfield(L, status, "Status") == LUA_TSTRING)
        state = lua_tostring(L, -1); /* the table keeps it */
    lua_settop(L, status);
    if (strcmp(state, "Pending") == 0) {
        lua_settop(L, c->op.index);
        call_report(L, c, "Pending");
        return wait(L, w);
    }
    if (strcmp(state, "Success") != 0 && strcmp(state, "Failure") != 0)
        return call_fail(L, c, "decode", NULL,
                         "what the server says of the storage commitment makes no sense");
    failures = push_list(L, status, "Failures");
    lua_settop(L, status);
    return failures > 0 || *state == 'F' ? failed(L, c, status, failures) : confirmed(L, c, status);
}

static int ask(lua_State *L, call *c)
{
    return call_get(L, c, answered, "/storage-commitment/%s", ((commitment_call *)c)->uid);
}

static int l_wait(lua_State *L)
{
    commitment_call *c;
    check_commitment(L, 1);
    lua_settop(L, 2);
    c = push_call(L, "wait", ask); /* self options client call */
    call_read_wait(L, 2, &c->call, call_wait_rows);
    lua_remove(L, 2);
    lua_getiuservalue(L, 1, COMMITMENT_ASKED);
    call_keep(L, 3, "asked", -1);
    lua_pop(L, 1);
    c->begun = c->heard = clock_now();
    return op_run(L, &c->call.op);
}

/* ---- remove ---- */

/* Orthanc says of every other state that there was a failure. */
static int removed(lua_State *L, call *c)
{
    if (call_answer(L, c) == 1) {
        lua_pushboolean(L, 1);
        return 1;
    }
    if (error_is_code(L, -1, "not_committed")) {
        lua_pushliteral(L, "nothing was removed: the modality has not committed itself to keeping "
                           "all of it, or not yet (status() tells)");
        lua_setfield(L, -2, "message");
    }
    return 2;
}

static int remove_here(lua_State *L, call *c)
{
    lua_newtable(L);
    return call_post(L, c, removed, CALL_CHANGE, "/storage-commitment/%s/remove",
                     ((commitment_call *)c)->uid);
}

static int l_remove(lua_State *L)
{
    lua_settop(L, 1);
    return op_run(L, &push_call(L, "remove", remove_here)->call.op);
}

/* ---- the object ---- */

/* The fields, then the methods. */
static int l_index(lua_State *L)
{
    const commitment *m = check_commitment(L, 1);
    const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
    if (strcmp(key, "id") == 0)
        lua_pushstring(L, m->uid);
    else if (strcmp(key, "client") == 0)
        lua_getiuservalue(L, 1, COMMITMENT_CLIENT);
    else
        return userdata_method(L);
    return 1;
}

static int l_tostring(lua_State *L)
{
    lua_pushfstring(L, "%s %s", COMMITMENT_TYPE, check_commitment(L, 1)->uid);
    return 1;
}

static const doc_row methods[] = {
    { .name = "status",
      .function = l_status,
      .signature = "commitment:status() -> table | nil, err",
      .help = "Returns what the server knows: Status (Pending, Success or Failure) and RemoteAET. "
              "When the modality has answered, Success and Failures are lists of { SOPClassUID =, "
              "SOPInstanceUID = }; a failure has FailureReason and Description too.",
      .example = "assert(pacs:move(found)) -- to this Orthanc\n"
                 "local ids = assert(orthanc:find { Level = \"Study\", Query = { PatientName = "
                 "\"SMITH*\" } })\n"
                 "local commitment = assert(pacs:storage_commitment(ids))\n"
                 "print(assert(commitment:status()).Status)" },
    { .name = "wait",
      .function = l_wait,
      .signature = "commitment:wait([options]) -> status | nil, err",
      .help = "Waits until the modality has answered, which may take days. Returns the status when "
              "the modality keeps everything that it was asked for; else err.result has the "
              "status. Cancelling the wait changes nothing.",
      .options = { { "options", call_wait_rows, NULL } },
      .example = "assert(pacs:move(found)) -- to this Orthanc\n"
                 "local ids = assert(orthanc:find { Level = \"Study\", Query = { PatientName = "
                 "\"SMITH*\" } })\n"
                 "local commitment = assert(pacs:storage_commitment(ids))\n"
                 "assert(commitment:wait { wait_timeout = 60 })" },
    { .name = "remove",
      .function = l_remove,
      .signature = "commitment:remove() -> true | nil, err",
      .help = "DELETES from this Orthanc the instances that the modality keeps now. The server "
              "refuses when the status is not Success.",
      .example = "assert(pacs:move(found)) -- to this Orthanc\n"
                 "local ids = assert(orthanc:find { Level = \"Study\", Query = { PatientName = "
                 "\"SMITH*\" } })\n"
                 "local commitment = assert(pacs:storage_commitment(ids))\n"
                 "assert(commitment:wait())\n"
                 "assert(commitment:remove()) -- from now on only pacs has them" },
    { .name = NULL }
};

void commitment_open(lua_State *L, loop *lp)
{
    static const luaL_Reg meta[] = { { "__index", l_index },
                                     { "__tostring", l_tostring },
                                     { NULL, NULL } };
    lua_newtable(L);
    doc_register(L, lp, methods);
    userdata_open(L, lp, COMMITMENT_TYPE, meta);
    lua_pop(L, 1);
}
