#include "api/job_poll.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "api/remote.h"
#include "base/clock.h"
#include "binding/error.h"
#include "binding/parts.h"
#include "orthanc/dimse.h"
#include "orthanc/failures.h"
#include "orthanc/jobs.h"
#include "request/response.h"
#include "request/said.h"

/* Seconds between two polls. */
#define DELAY_LEAST 0.004
#define DELAY_MOST  0.5

enum { CANCELED_JOB = 37 }; /* OrthancStatus */

/* ---- the steps, in order ---- */

static int job_poll_wait(lua_State *L, call *c);
static int job_poll_ask(lua_State *L, call *c);
static int job_poll_on_status(lua_State *L, call *c);
static int job_poll_on_error(lua_State *L, call *c);
static int job_poll_on_success(lua_State *L, call *c, int record);
static int job_poll_on_failure(lua_State *L, call *c, int record);
static int job_poll_on_deadline(lua_State *L, call *c);

static int fail_unclear(lua_State *L, call *c, const char *why);
static int job_poll_end_failed(lua_State *L, call *c);
static int job_poll_end_open(lua_State *L, call *c);
static const char *push_record_text(lua_State *L, int record, const char *field);
static void job_poll_report(lua_State *L, call *c, int record, const char *state);

int job_poll_begin(lua_State *L, call *c, double age)
{
    c->poll->heard = clock_now();
    c->poll->begun = c->poll->heard - age;
    c->poll->unfinished = 0;
    return job_poll_wait(L, c);
}

static int job_poll_wait(lua_State *L, call *c)
{
    double left = c->poll->begun + c->poll->usual - clock_now();
    double delay = call_poll_delay(c->poll->begun, c->deadline,
                                   left > DELAY_LEAST ? left : DELAY_LEAST, DELAY_MOST);
    if (delay == 0)
        return job_poll_on_deadline(L, c);
    c->step = job_poll_ask;
    return op_sleep(L, &c->op, delay);
}

static int job_poll_ask(lua_State *L, call *c)
{
    c->poll->asked = clock_now();
    return call_get(L, c, job_poll_on_status, "/jobs/%s", c->poll->job);
}

/* Whether the record at index names another job than the one that was asked for. */
static bool is_of_other_job(lua_State *L, const call *c, int record)
{
    int type = lua_getfield(L, record, "ID");
    bool other =
        type != LUA_TNIL && (type != LUA_TSTRING || strcmp(lua_tostring(L, -1), c->poll->job) != 0);
    lua_pop(L, 1);
    return other;
}

/* Pushes what the server said in the field of the record, for an error. */
static const char *push_said(lua_State *L, int record, const char *field)
{
    lua_getfield(L, record, field);
    return said_push(L, -1);
}

static int job_poll_on_status(lua_State *L, call *c)
{
    int record = c->op.index + 1;
    const char *state;
    if (call_answer(L, c) != 1)
        return job_poll_on_error(L, c);
    if (!lua_istable(L, record))
        return fail_unclear(L, c, "it is not described");
    if (is_of_other_job(L, c, record))
        return fail_unclear(L, c, "its record is that of another job");
    state = lua_getfield(L, record, "State") == LUA_TSTRING ? lua_tostring(L, -1) : "";
    if (strlen(state) != lua_rawlen(L, -1))
        state = "";        /* it holds a NUL */
    lua_settop(L, record); /* the record keeps the text alive */
    switch (jobs_state_of(state)) {
    case JOBS_FAILURE: return job_poll_on_failure(L, c, record);
    case JOBS_SUCCESS: return job_poll_on_success(L, c, record);
    case JOBS_UNFINISHED:
        c->poll->heard = clock_now();
        c->poll->unfinished = c->poll->asked - c->poll->begun;
        job_poll_report(L, c, record, state);
        return job_poll_wait(L, c);
    case JOBS_NO_STATE: break;
    }
    return fail_unclear(L, c,
                        lua_pushfstring(L, "its State is %s, which Orthanc does not have",
                                        push_said(L, record, "State")));
}

/* A success with an error is none. */
static int job_poll_on_success(lua_State *L, call *c, int record)
{
    const char *said, *description;
    int type = lua_getfield(L, record, "ErrorCode");
    if (type != LUA_TNIL && (type != LUA_TNUMBER || lua_tonumber(L, -1) != 0)) {
        said = push_said(L, record, "ErrorCode");
        description = push_record_text(L, record, "ErrorDescription");
        return fail_unclear(L, c,
                            lua_pushfstring(L, "its State is Success, and its ErrorCode is %s%s%s",
                                            said, *description ? ": " : "", description));
    }
    if (c->remote)
        remote_note_unfinished(c->remote, c->poll->unfinished);
    lua_settop(L, record);
    lua_getfield(L, record, "Content");
    return job_poll_is_incomplete(L, c, record + 1) ? job_poll_end_failed(L, c)
                                                    : c->poll->on_success(L, c);
}

/* The server describes the job in a way that says nothing of its outcome. */
static int fail_unclear(lua_State *L, call *c, const char *why)
{
    call_fail(L, c, "unknown", "decode",
              "unexpected response for job %s: %s; the outcome of the job is not known",
              c->poll->job, why);
    job_poll_set_job(L, c);
    return job_poll_end_open(L, c);
}

/* The job has failed. Stack: nil, error. */
static int job_poll_end_failed(lua_State *L, call *c)
{
    return c->poll->on_failure ? c->poll->on_failure(L, c) : 2;
}

/* The wait is over, and the job perhaps not. Stack: nil, error. */
static int job_poll_end_open(lua_State *L, call *c)
{
    return c->poll->on_open ? c->poll->on_open(L, c) : 2;
}

/* A poll failed. Stack: nil, error. Keeps polling when the error is transient. */
static int job_poll_on_error(lua_State *L, call *c)
{
    if (error_is_code(L, -1, "job_gone"))
        return c->poll->on_gone(L, c);
    if (call_is_transient(L, c->client, c->poll->heard)) {
        lua_settop(L, c->op.index);
        return job_poll_wait(L, c);
    }
    lua_getfield(L, -1, "message");
    lua_pushfstring(L, "%s; the outcome of job %s is not known", lua_tostring(L, -1), c->poll->job);
    lua_setfield(L, -3, "message");
    lua_pop(L, 1);
    response_set_unknown(L);
    if (c->route) { /* the poll could be repeated, but not the request that started the job */
        lua_pushboolean(L, 0);
        lua_setfield(L, -2, "retryable");
    }
    job_poll_set_job(L, c);
    return job_poll_end_open(L, c);
}

static int job_poll_on_deadline(lua_State *L, call *c)
{
    call_fail(L, c, "timeout", NULL, "wait_timeout has passed; the server goes on with job %s",
              c->poll->job);
    job_poll_set_job(L, c);
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, "still_running");
    return job_poll_end_open(L, c);
}

/* ---- progress ---- */

/* Does not use the record's Progress: some versions count resources there, others the sub-operations
 * of the present resource. */
static void job_poll_report(lua_State *L, call *c, int record, const char *state)
{
    if (lua_getfield(L, record, "Content") == LUA_TTABLE &&
        lua_getfield(L, -1, "InstancesCount") == LUA_TNUMBER) {
        c->progress.total = lua_tonumber(L, -1);
        c->progress.unit = "instances";
    }
    lua_settop(L, record);
    call_report(c, state);
}

/* ---- the result of a job ---- */

/* The first DIMSE status above 0 in the list Details of the result at index; -1 = none. */
static int details_dimse(lua_State *L, int result)
{
    int dimse = -1, top = lua_gettop(L);
    lua_Integer n;
    if (!lua_istable(L, result) || lua_getfield(L, result, "Details") != LUA_TTABLE) {
        lua_settop(L, top);
        return -1;
    }
    n = (lua_Integer)lua_rawlen(L, -1);
    for (lua_Integer i = 1; i <= n && dimse < 0; i++) {
        if (lua_rawgeti(L, top + 1, i) == LUA_TTABLE &&
            lua_getfield(L, -1, "DimseErrorStatus") == LUA_TNUMBER && lua_tointeger(L, -1) > 0)
            dimse = (int)lua_tointeger(L, -1);
        lua_settop(L, top + 1);
    }
    lua_settop(L, top);
    return dimse;
}

/* Whether the result on the top, at that index, is that of a transfer to a peer. */
static bool result_is_of_peer(lua_State *L, int result)
{
    bool is = lua_istable(L, result) && lua_getfield(L, result, "Peer") == LUA_TTABLE;
    lua_settop(L, result);
    return is;
}

/* The DICOM service of a result that has Details: move and get alone. */
static dimse_service result_service(lua_State *L, int result)
{
    bool is_move = lua_getfield(L, result, "TargetAet") == LUA_TSTRING;
    lua_pop(L, 1);
    return is_move ? DIMSE_MOVE : DIMSE_GET;
}

/* Whether the job that is waited for is a transfer. Its record is at the index behind the call. */
static bool is_transfer(lua_State *L, const call *c)
{
    const char *type;
    bool is;
    if (c->route)
        return true;
    type = lua_getfield(L, c->op.index + 1, "Type") == LUA_TSTRING ? lua_tostring(L, -1) : "";
    is = dimse_service_of_job(type) != DIMSE_OTHER || strcmp(type, "OrthancPeerStore") == 0;
    lua_pop(L, 1);
    return is;
}

static bool has_member(lua_State *L, int result, const char *name)
{
    bool has = lua_getfield(L, result, name) != LUA_TNIL;
    lua_pop(L, 1);
    return has;
}

/* Whether the result at index is not what a transfer ends with. Then pushes how it differs. All that a
 * result has must be right; what it must have depends on the version. */
static bool result_differs(lua_State *L, const call *c, int result)
{
    static const struct {
        const char *name;
        shape shape;
    } members[] = { { "LocalAet", SHAPE_TEXT },
                    { "RemoteAet", SHAPE_TEXT },
                    { "TargetAet", SHAPE_TEXT },
                    { "Query", SHAPE_LIST_OF_OBJECTS },
                    { "Details", SHAPE_LIST_OF_OBJECTS },
                    { "Resources", SHAPE_LIST_OF_OBJECTS },
                    { "InstancesCount", SHAPE_WHOLE_NUMBER },
                    { "FailedInstancesCount", SHAPE_WHOLE_NUMBER } };
    bool transfer = is_transfer(L, c);
    if (shape_differs(L, result, SHAPE_OBJECT))
        return true;
    if (lua_getfield(L, result, "HttpStatus") != LUA_TNIL) {
        lua_pushliteral(L, "it is the description of an error");
        return true;
    }
    lua_pop(L, 1);
    for (size_t i = 0; transfer && i < sizeof members / sizeof members[0]; i++)
        if (has_member(L, result, members[i].name) &&
            shape_member_differs(L, result, members[i].name, members[i].shape))
            return true;
    return false;
}

bool job_poll_is_incomplete(lua_State *L, const call *c, int result)
{
    char status[32] = "some instances failed";
    int dimse;
    bool failed, of_peer;
    if (result_differs(L, c, result)) {
        call_fail(L, c, "unknown", "decode",
                  "unexpected response: the server reports success, but its result is none (%s); "
                  "the outcome is not known",
                  lua_tostring(L, -1));
        job_poll_set_job(L, c);
        return true;
    }
    of_peer = result_is_of_peer(L, result);
    dimse = details_dimse(L, result);
    lua_getfield(L, result, "FailedInstancesCount");
    failed = lua_tointeger(L, -1) > 0;
    lua_settop(L, result);
    if (dimse <= 0 && !failed)
        return false;
    if (dimse > 0)
        snprintf(status, sizeof status, "DIMSE status 0x%04X", (unsigned)dimse);
    call_fail(L, c, of_peer ? "orthanc" : "dicom", "incomplete",
              "not everything was transferred, although the server reports success: %s", status);
    if (dimse > 0) {
        error_set_integer(L, "dimse_status", dimse);
        response_add_dicom_words(L, dimse, result_service(L, result), NULL);
    }
    lua_pushvalue(L, result);
    lua_setfield(L, -2, "result");
    job_poll_set_job(L, c);
    return true;
}

/* ---- errors ---- */

void job_poll_set_job(lua_State *L, const call *c)
{
    call_set_error_fields(L, c);
    if (c->poll->job[0])
        error_set(L, "job", c->poll->job);
}

void job_poll_add_hint(lua_State *L, const call *c)
{
    int error = lua_gettop(L);
    call_push(L, c, "hint");
    if (lua_type(L, -1) == LUA_TSTRING) {
        lua_getfield(L, error, "message");
        lua_pushfstring(L, "%s (%s)", lua_tostring(L, -1), lua_tostring(L, -2));
        lua_setfield(L, error, "message");
    }
    lua_settop(L, error);
}

/* Pushes a text of the record without passwords; "" when the field is no string. */
static const char *push_record_text(lua_State *L, int record, const char *field)
{
    lua_getfield(L, record, field);
    error_push_redacted(L, lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "");
    lua_remove(L, -2);
    return lua_tostring(L, -1);
}

/* The DIMSE status of the record of a failed job; -1 = none. */
static int record_dimse(lua_State *L, int record, const char *details)
{
    int dimse = response_payload_dimse(L, record);
    if (dimse < 0)
        dimse = orthanc_dimse_status(details);
    if (dimse < 0) {
        lua_getfield(L, record, "Content");
        dimse = details_dimse(L, lua_gettop(L));
        lua_pop(L, 1);
    }
    return dimse;
}

/* The DICOM service of the job. */
static dimse_service record_service(lua_State *L, int record)
{
    dimse_service service = DIMSE_OTHER;
    if (lua_getfield(L, record, "Type") == LUA_TSTRING)
        service = dimse_service_of_job(lua_tostring(L, -1));
    lua_pop(L, 1);
    return service;
}

/* Stack: nil, error. The Lua half adds what this server knows about the target. */
int job_poll_explain_move(lua_State *L, call *c)
{
    int first = c->op.index + 1, top;
    lua_remove(L, -2);
    lua_insert(L, first);
    lua_settop(L, first);
    parts_push_function(L, "core.move_failure", "explain");
    lua_insert(L, first);
    call_push_client(L, c);
    call_push(L, c, "body");
    top = lua_gettop(L);
    if (!lua_istable(L, top) || lua_getfield(L, top, "TargetAet") != LUA_TSTRING)
        lua_pushnil(L);
    lua_replace(L, top);
    lua_settop(L, top);
    return OP_CALL;
}

/* The job has failed: pushes nil and an error with job, result, and orthanc_status, dimse_status and
 * details where the record at index has them. */
static int job_poll_on_failure(lua_State *L, call *c, int record)
{
    const char *description, *details, *route;
    int code, dimse;
    orthanc_failure f;
    dimse_service service;
    lua_getfield(L, record, "ErrorCode");
    code = (int)lua_tointeger(L, -1);
    description = push_record_text(L, record, "ErrorDescription");
    details = push_record_text(L, record, "ErrorDetails");
    dimse = record_dimse(L, record, details);
    lua_getfield(L, record, "Content");
    route = result_is_of_peer(L, lua_gettop(L)) ? "/peers/" : "/modalities/";
    f = orthanc_classify(route, 500, code, true, true);
    service = record_service(L, record);
    if (code == CANCELED_JOB)
        call_fail(L, c, "orthanc", "job_cancelled",
                  "the job was cancelled on the server, not by this script");
    else
        call_fail(L, c, f.kind, f.code, "%s%s%s (OrthancStatus %d)",
                  f.message ? f.message : description, *details ? ": " : "", details, code);
    error_set_integer(L, "orthanc_status", code);
    if (dimse >= 0)
        error_set_integer(L, "dimse_status", dimse);
    if (*details)
        error_set(L, "details", details);
    lua_getfield(L, record, "Content");
    lua_setfield(L, -2, "result");
    job_poll_set_job(L, c);
    if (strcmp(f.kind, "dicom") == 0 && code != CANCELED_JOB)
        response_add_dicom_words(L, dimse, service, details);
    job_poll_add_hint(L, c);
    if (service == DIMSE_MOVE && dimse_blames_destination(dimse) && !c->poll->on_failure)
        return job_poll_explain_move(L, c);
    return job_poll_end_failed(L, c);
}
