#include "api/transfer.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "api/remote.h"
#include "base/clock.h"
#include "binding/error.h"
#include "binding/parts.h"
#include "engine/cleanup.h"
#include "engine/timer.h"
#include "request/route_options.h"
#include "request/version.h"

/* ---- the steps, in order ---- */

static int transfer_on_slot(lua_State *L, call *c);
static int transfer_submit(lua_State *L, call *c);
static int transfer_on_submitted(lua_State *L, call *c);
static int transfer_on_success(lua_State *L, call *c);
static int transfer_on_job_gone(lua_State *L, call *c);

static void transfer_stopped(lua_State *L, op *o, bool detached);
static void remember_unverified(lua_State *L, transfer *t);

transfer *transfer_new(lua_State *L, loop *lp, size_t size, int client_index, int remote_index,
                       const char *name, call_step first)
{
    transfer *t = (transfer *)call_new(L, lp, size, client_index, name, first);
    int call_index = lua_gettop(L);
    call_keep(L, call_index, "client", client_index);
    if (remote_index) {
        t->call.remote = lua_touserdata(L, remote_index);
        call_keep(L, call_index, t->call.remote->kind->word, remote_index);
    }
    t->call.poll = &t->poll;
    t->poll.on_success = transfer_on_success;
    t->poll.on_gone = transfer_on_job_gone;
    return t;
}

void transfer_read_options(lua_State *L, int index, int call_index, const orthanc_route *route,
                           const option *rows, transfer_options *o)
{
    static const transfer_mode modes[] = { TRANSFER_JOB, TRANSFER_HANDLE, TRANSFER_BLOCKING };
    transfer *t = lua_touserdata(L, call_index);
    int body = lua_gettop(L) + 1;
    route_options_read_call(L, index, &t->call, route, rows, o);
    t->mode = modes[route_options_take_synchronous(L, body, t->call.op.name) + 1];
    lua_getfield(L, body, "Permissive");
    t->permissive = lua_toboolean(L, -1);
    lua_pop(L, 1);
    t->verify_reason = o->verify ? TRANSFER_VERIFY : NULL;
    call_set_progress(L, index, call_index);
    call_keep(L, call_index, "body", body);
}

/* A handle is returned at once, so it needs no slot. Where the call cannot yield, no other transfer
 * could free a slot meanwhile. */
int transfer_begin(lua_State *L, call *c)
{
    const remote *r = c->remote;
    if (((transfer *)c)->mode == TRANSFER_HANDLE)
        return transfer_submit(L, c);
    if (!op_can_yield(L, c->op.lp)) {
        slots_acquire_now(r->slots, &c->op);
        return transfer_submit(L, c);
    }
    if (slots_acquire(r->slots, &c->op, r->max_moves))
        return transfer_submit(L, c);
    c->step = transfer_on_slot;
    if (c->deadline > 0 && !timer_set(&c->op, c->deadline)) {
        error_new(L, "limit", "memory", "not enough memory for a timer");
        op_throw(L, &c->op);
    }
    return OP_WAIT;
}

static int fail_not_started(lua_State *L, const call *c)
{
    return call_fail(L, c, "timeout", "not_started",
                     "wait_timeout passed before a concurrency slot was free (max_moves allows %d "
                     "transfers at once with %s); nothing was sent",
                     (int)c->remote->max_moves, c->remote->name);
}

/* The call has a slot, or its deadline has passed. */
static int transfer_on_slot(lua_State *L, call *c)
{
    timer_clear(&c->op);
    return c->op.slot.held ? transfer_submit(L, c) : fail_not_started(L, c);
}

/* Until the server has named the job, nothing could cancel it. So the submission may take the
 * client's timeout even when the caller's deadline is nearer. */
static double submission_deadline(const call *c, double now)
{
    double least = c->client->timeout > 0 ? now + c->client->timeout : 0;
    return c->deadline > 0 && (least == 0 || c->deadline < least) ? least : c->deadline;
}

static int transfer_submit(lua_State *L, call *c)
{
    bool blocking = ((transfer *)c)->mode == TRANSFER_BLOCKING;
    double now = clock_now(), deadline = c->deadline;
    int result;
    if (deadline > 0 && now >= deadline)
        return fail_not_started(L, c);
    if (!blocking)
        c->deadline = submission_deadline(c, now);
    call_push(L, c, "path");
    call_push(L, c, "body");
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, blocking ? "Synchronous" : "Asynchronous");
    result =
        call_post(L, c, transfer_on_submitted, CALL_REMOTE, "%s", lua_tostring(L, c->op.index + 1));
    c->deadline = deadline;
    if (result == OP_WAIT) {
        c->op.on_stop = transfer_stopped;
        c->op.keeps_request = !blocking;
    }
    return result;
}

/* Whether the error on the top says that the server has forgotten a job: a blocking request is a job
 * too, which can be forgotten before its answer is written. Only the text of this 404 shows that. */
static bool says_job_forgotten(lua_State *L)
{
    bool forgotten;
    lua_getfield(L, -1, "details");
    forgotten = lua_isstring(L, -1) && strstr(lua_tostring(L, -1), "status of the job");
    lua_pop(L, 1);
    return forgotten;
}

/* Sets the code of the error on the top when its text says that the peer is unknown; the status is
 * the same when a resource is unknown. */
static void set_unknown_peer(lua_State *L)
{
    lua_getfield(L, -1, "details");
    if (lua_isstring(L, -1) && strstr(lua_tostring(L, -1), "No peer")) {
        lua_pushliteral(L, "unknown_peer");
        lua_setfield(L, -3, "code");
    }
    lua_pop(L, 1);
}

static int transfer_on_submitted(lua_State *L, call *c)
{
    transfer *t = (transfer *)c;
    c->op.keeps_request = false;
    if (call_answer(L, c) != 1) {
        if (says_job_forgotten(L))
            return transfer_on_job_gone(L, c);
        set_unknown_peer(L);
        job_poll_add_hint(L, c);
        return 2;
    }
    if (t->mode == TRANSFER_HANDLE) {
        remember_unverified(L, t);
        return 1;
    }
    if (t->mode == TRANSFER_JOB && orthanc_answer_id(c->op.transfer.body, t->poll.job)) {
        lua_settop(L, c->op.index);
        return job_poll_begin(L, c, c->op.transfer.seconds);
    }
    /* The result of a blocking request, or of a route that never makes jobs. */
    return job_poll_is_incomplete(L, c, lua_gettop(L)) ? 2 : transfer_on_success(L, c);
}

/* Why the transfer's success has to be verified; NULL = it is believed. */
static const char *verify_reason(const transfer *t)
{
    if (t->by_get && !orthanc_tells_failed_gets(version_of(&t->call)))
        return "before 1.12.10 Orthanc reports a failed C-GET as a success";
    return t->permissive ? "Permissive hides failures" : t->verify_reason;
}

static int verify(lua_State *L, call *c, int result, const char *reason)
{
    call_push_data(L, c);
    lua_pushstring(L, c->op.name);
    lua_setfield(L, -2, "op");
    return transfer_verify(L, c, result, reason);
}

/* The server reports a success, of which no part failed. Its result is on the top. */
static int transfer_on_success(lua_State *L, call *c)
{
    int result = lua_gettop(L);
    const char *reason = verify_reason((transfer *)c);
    bool has_details;
    /* Newer servers list what they did; the Lua half reads these lists. */
    has_details = lua_getfield(L, result, "Details") != LUA_TNIL ||
                  lua_getfield(L, result, "Resources") != LUA_TNIL;
    lua_settop(L, result);
    return reason || has_details ? verify(L, c, result, reason) : 1;
}

static int transfer_on_job_gone(lua_State *L, call *c)
{
    lua_pushnil(L);
    return verify(L, c, lua_gettop(L),
                  "the server has removed the job before its outcome was read");
}

/* ---- verification, by the Lua half ---- */

int transfer_verify(lua_State *L, const call *c, int result, const char *reason)
{
    int first = c->op.index + 1;
    if (c->deadline > 0) {
        lua_pushnumber(L, c->deadline);
        lua_setfield(L, -2, "deadline");
    }
    lua_pushvalue(L, result);
    lua_setfield(L, -2, "result");
    if (c->poll->job[0]) {
        lua_pushstring(L, c->poll->job);
        lua_setfield(L, -2, "job");
    }
    lua_insert(L, first);
    lua_settop(L, first);
    parts_push_function(L, "core.arrival", "resolve");
    lua_insert(L, first);
    lua_pushstring(L, reason);
    return OP_CALL;
}

/* ---- transfers that the caller waits for with job:wait() ----
 *
 * CLIENT_UNVERIFIED: from the identifier of a job to the transfer's data. */

enum { UNVERIFIED_MAX = 1000 }; /* jobs of a client; one more, and all are forgotten */

/* Stores the data of the transfer whose handle is on the top. */
static void remember_unverified(lua_State *L, transfer *t)
{
    const call *c = &t->call;
    int data = lua_gettop(L) + 1, asker = data + 1, jobs = data + 2;
    lua_Integer count;
    if (!orthanc_answer_id(c->op.transfer.body, t->poll.job))
        return;
    call_push_data(L, c);
    lua_pushstring(L, c->op.name);
    lua_setfield(L, data, "op");
    lua_pushstring(L, verify_reason(t));
    lua_setfield(L, data, "reason");
    call_push_client(L, c);
    lua_getiuservalue(L, asker, CLIENT_UNVERIFIED);
    count = lua_istable(L, jobs) ? (lua_getfield(L, jobs, "count"), lua_tointeger(L, -1)) : 0;
    if (count % UNVERIFIED_MAX == 0) {
        lua_newtable(L);
        lua_replace(L, jobs);
        lua_pushvalue(L, jobs);
        lua_setiuservalue(L, asker, CLIENT_UNVERIFIED);
    }
    lua_pushinteger(L, count % UNVERIFIED_MAX + 1);
    lua_setfield(L, jobs, "count"); /* no job has this name */
    lua_pushvalue(L, data);
    lua_setfield(L, jobs, t->poll.job);
    lua_settop(L, data - 1);
}

bool transfer_take_unverified(lua_State *L, const call *c, const char *job)
{
    int top = lua_gettop(L);
    call_push_client(L, c);
    if (lua_getiuservalue(L, -1, CLIENT_UNVERIFIED) != LUA_TTABLE ||
        lua_getfield(L, -1, job) != LUA_TTABLE) {
        lua_settop(L, top);
        return false;
    }
    lua_pushnil(L);
    lua_setfield(L, top + 2, job);
    lua_replace(L, top + 1);
    lua_settop(L, top + 1);
    return true;
}

/* ---- cancelling: the job is cancelled on the server ---- */

static http_request cancel_request(transfer *t)
{
    http_request r = { .method = "POST",
                       .path = t->cancel_path,
                       .body = "{}",
                       .body_size = 2,
                       .content_type = "application/json",
                       .side_effects = true,
                       .timeout = t->call.client->timeout };
    snprintf(t->cancel_path, sizeof t->cancel_path, "/jobs/%s/cancel", t->poll.job);
    return r;
}

/* The submission of a cancelled transfer was answered: its job can be cancelled now. */
static bool cancel_named_job(op *o)
{
    transfer *t = (transfer *)o;
    http_request r;
    if (!orthanc_answer_id(o->transfer.body, t->poll.job))
        return false;
    r = cancel_request(t);
    return op_send(o, t->call.client->server, &r);
}

static void transfer_stopped(lua_State *L, op *o, bool detached)
{
    transfer *t = (transfer *)o;
    http_request r;
    if (o->keeps_request) {
        if (o->transfer.state == HTTP_RUNNING || o->transfer.state == HTTP_DONE)
            cleanup_take_over(L, o, NULL, detached ? NULL : cancel_named_job);
    } else if (t->poll.job[0] && !detached) {
        r = cancel_request(t);
        cleanup_take_over(L, o, &r, NULL);
    }
}
