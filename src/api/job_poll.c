#include "api/job_poll.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "binding/error.h"
#include "orthanc/failures.h"
#include "request/response.h"

/* Seconds between two questions. */
#define GAP_FIRST 0.004
#define GAP_LAST  0.5

enum { CANCELED_JOB = 37 }; /* OrthancStatus */

static int ask(lua_State *L, call *c);

/* ---- what is said of it ---- */

void job_poll_set_job(lua_State *L, const job_poll *w)
{
    call_set_origin(L, &w->base.call); /* what was asked for, not the polling */
    if (w->job[0])
        error_set(L, "job", w->job);
}

/* The DIMSE status that the result at index names for a part of the work; -1 when there is none, or
 * only zeros. */
static int details_dimse(lua_State *L, int content)
{
    int dimse = -1, top = lua_gettop(L);
    lua_Integer n;
    if (!lua_istable(L, content) || lua_getfield(L, content, "Details") != LUA_TTABLE) {
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

/* A target that is wrong is the usual reason for this status; data.hint knows better. */
void job_poll_add_hint(lua_State *L, const call *c)
{
    int error = lua_gettop(L);
    call_push_data(L, c);
    if (lua_getfield(L, -1, "hint") == LUA_TSTRING) {
        lua_getfield(L, error, "message");
        lua_pushfstring(L, "%s (%s)", lua_tostring(L, -1), lua_tostring(L, -2));
        lua_setfield(L, error, "message");
    }
    lua_settop(L, error);
}

/* The address on the top goes back, without a password, under `key`, or as the first of a list. */
static void put_address_back(lua_State *L, int peer, const char *key)
{
    if (lua_type(L, -1) == LUA_TSTRING) {
        error_push_public(L, lua_tostring(L, -1));
        if (key)
            lua_setfield(L, peer, key);
        else
            lua_seti(L, peer, 1);
    }
    lua_settop(L, peer);
}

/* {url, user, ""}, or {Url =, HttpHeaders = {…}, …} with the values of the headers. */
bool job_poll_is_of_peer(lua_State *L, int result)
{
    int peer = result + 1;
    if (!lua_istable(L, result) || lua_getfield(L, result, "Peer") != LUA_TTABLE) {
        lua_settop(L, result);
        return false;
    }
    lua_geti(L, peer, 1);
    put_address_back(L, peer, NULL);
    lua_getfield(L, peer, "Url");
    put_address_back(L, peer, "Url");
    if (lua_getfield(L, peer, "HttpHeaders") == LUA_TTABLE)
        for (lua_pushnil(L); lua_next(L, peer + 1); lua_settop(L, peer + 2)) {
            lua_pushvalue(L, -2);
            lua_pushliteral(L, "…");
            lua_rawset(L, peer + 1);
        }
    lua_settop(L, result);
    return true;
}

bool job_poll_is_partial(lua_State *L, const job_poll *w, int result)
{
    char status[32] = "some instances failed";
    int dimse;
    bool failed;
    if (!lua_istable(L, result)) {
        call_fail(L, &w->base.call, "decode", NULL,
                  "the server reports success, but what it says of it makes no sense");
        job_poll_set_job(L, w);
        return true;
    }
    job_poll_is_of_peer(L, result);
    dimse = details_dimse(L, result);
    lua_getfield(L, result, "FailedInstancesCount");
    failed = lua_tointeger(L, -1) > 0;
    lua_settop(L, result);
    if (dimse <= 0 && !failed)
        return false;
    if (dimse > 0)
        snprintf(status, sizeof status, "DIMSE status 0x%04X", (unsigned)dimse);
    call_fail(L, &w->base.call, job_poll_is_of_peer(L, result) ? "orthanc" : "dicom", "incomplete",
              "not everything was transferred, though the server reports success: %s", status);
    if (dimse > 0)
        error_set_integer(L, "dimse_status", dimse);
    lua_pushvalue(L, result);
    lua_setfield(L, -2, "result");
    job_poll_set_job(L, w);
    return true;
}

/* Pushes what the record's field says, or "". */
static const char *push_text(lua_State *L, int record, const char *field)
{
    lua_getfield(L, record, field);
    error_push_public(L, lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "");
    lua_remove(L, -2);
    return lua_tostring(L, -1);
}

static int dimse_of(lua_State *L, int record, const char *details)
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

/* Pushes nil and an error about the job; the record at index says why. The error has job, result,
 * and what there is of orthanc_status, dimse_status and details. */
static int job_failed(lua_State *L, job_poll *w, int record)
{
    const char *what, *details;
    int code, dimse;
    orthanc_failure f;
    lua_getfield(L, record, "ErrorCode");
    code = (int)lua_tointeger(L, -1);
    what = push_text(L, record, "ErrorDescription");
    details = push_text(L, record, "ErrorDetails");
    dimse = dimse_of(L, record, details);
    lua_getfield(L, record, "Content");
    f = orthanc_classify(job_poll_is_of_peer(L, lua_gettop(L)) ? "/peers/" : "/modalities/", 500,
                         code, true, true);
    if (code == CANCELED_JOB)
        call_fail(L, &w->base.call, "orthanc", "job_cancelled",
                  "the job was cancelled on the server, not by this script");
    else
        call_fail(L, &w->base.call, f.kind, f.code, "%s%s%s (OrthancStatus %d)",
                  f.message ? f.message : what, *details ? ": " : "", details, code);
    error_set_integer(L, "orthanc_status", code);
    if (dimse >= 0)
        error_set_integer(L, "dimse_status", dimse);
    if (*details)
        error_set(L, "details", details);
    lua_getfield(L, record, "Content");
    lua_setfield(L, -2, "result");
    job_poll_set_job(L, w);
    job_poll_add_hint(L, &w->base.call);
    return 2;
}

/* ---- the wait ---- */

static int too_late(lua_State *L, job_poll *w)
{
    call_fail(L, &w->base.call, "timeout", NULL,
              "wait_timeout is over; the job %s goes on on the server", w->job);
    job_poll_set_job(L, w);
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, "still_running");
    return 2;
}

/* Asks again after a while. */
static int wait(lua_State *L, job_poll *w)
{
    call *c = &w->base.call;
    double gap = call_gap(c, w->begun, GAP_FIRST, GAP_LAST);
    if (gap == 0)
        return too_late(L, w);
    c->step = ask;
    return op_sleep(L, &c->base, gap);
}

/* nil and the error are on the top. */
static int unheard(lua_State *L, job_poll *w)
{
    call *c = &w->base.call;
    if (error_is_code(L, -1, "job_gone"))
        return w->forgotten(L, c);
    if (call_may_pass(L, c, w->heard)) {
        lua_settop(L, c->base.index);
        return wait(L, w);
    }
    lua_getfield(L, -1, "message");
    lua_pushfstring(L, "%s; what becomes of the job %s is not known", lua_tostring(L, -1), w->job);
    lua_setfield(L, -3, "message");
    lua_pop(L, 1);
    if (c->route) { /* the question could be asked again, but not what started the job */
        lua_pushboolean(L, 0);
        lua_setfield(L, -2, "retryable");
    }
    job_poll_set_job(L, w);
    return 2;
}

/* A job's Progress is no measure: it counts resources in some versions, and sub-operations of the
 * present one in others. The record is at the index. */
static void report(lua_State *L, call *c, int record, const char *state)
{
    c->progress.state = progress_state(state);
    if (lua_getfield(L, record, "Content") == LUA_TTABLE &&
        lua_getfield(L, -1, "InstancesCount") == LUA_TNUMBER) {
        c->progress.total = lua_tonumber(L, -1);
        c->progress.unit = "instances";
    }
    lua_settop(L, record);
    call_report(L, c);
}

static int answered(lua_State *L, call *c)
{
    job_poll *w = (job_poll *)c;
    const char *state;
    int record = c->base.index + 1;
    if (call_answer(L, c) != 1)
        return unheard(L, w);
    if (!lua_istable(L, record) || lua_getfield(L, record, "State") != LUA_TSTRING) {
        call_fail(L, c, "decode", NULL, "what the server says of the job %s makes no sense",
                  w->job);
        job_poll_set_job(L, w);
        return 2;
    }
    w->heard = clock_now();
    state = lua_tostring(L, -1);
    if (strcmp(state, "Failure") == 0)
        return job_failed(L, w, record);
    if (strcmp(state, "Success") == 0) {
        lua_settop(L, record);
        return w->succeeded(L, c);
    }
    report(L, c, record, state); /* Pending, Running, Paused, Retry */
    return wait(L, w);
}

static int ask(lua_State *L, call *c)
{
    job_poll *w = (job_poll *)c;
    return call_get(L, c, answered, "/jobs/%s", w->job);
}

int job_poll_begin(lua_State *L, job_poll *w, double age)
{
    w->heard = clock_now();
    w->begun = w->heard - age;
    return wait(L, w);
}
