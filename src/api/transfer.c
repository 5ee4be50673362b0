#include "api/transfer.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "api/peer.h"
#include "api/remote.h"
#include "base/clock.h"
#include "binding/error.h"
#include "binding/parts.h"
#include "engine/cleanup.h"
#include "engine/task.h"
#include "engine/timer.h"
#include "json/encode.h"
#include "orthanc/dimse.h"
#include "request/response.h"
#include "request/route_options.h"
#include "request/version.h"

/* ---- the steps, in order ---- */

static int transfer_on_slot(lua_State *L, call *c);
static int transfer_look(lua_State *L, call *c); /* of a part */
static int transfer_on_jobs(lua_State *L, call *c);
static int transfer_submit(lua_State *L, call *c);
static int transfer_on_submitted(lua_State *L, call *c);
static int transfer_on_refusal(lua_State *L, call *c);
static int transfer_on_old_move(lua_State *L, call *c);
static bool keep_job_id(lua_State *L, transfer *t);
static bool is_old_move(lua_State *L, const call *c);
static bool is_result(lua_State *L, const call *c);
static int fail_no_outcome(lua_State *L, call *c, const char *answer);
static int transfer_on_success(lua_State *L, call *c);
static int transfer_on_job_gone(lua_State *L, call *c);
static int transfer_on_open(lua_State *L, call *c);

static void transfer_on_stop(lua_State *L, op *o, bool detached);
static void note_started(lua_State *L, const call *c);
static void remember(lua_State *L, const transfer *t);

transfer *transfer_new(lua_State *L, loop *lp, size_t size, int client_index, int remote_index,
                       const char *name, call_step first)
{
    transfer *t = (transfer *)call_new(L, lp, size, client_index, name, first);
    int call_index = lua_gettop(L);
    call_keep(L, call_index, "client", client_index);
    if (remote_index) {
        t->call.remote = lua_touserdata(L, remote_index);
        t->latest = t->call.remote->latest;
        t->poll.usual = t->call.remote->usual;
        call_keep(L, call_index, t->call.remote->kind->word, remote_index);
    }
    t->call.poll = &t->poll;
    t->poll.on_success = transfer_on_success;
    t->poll.on_gone = transfer_on_job_gone;
    t->poll.on_open = transfer_on_open;
    return t;
}

void transfer_make_part(lua_State *L, int call_index, int more)
{
    transfer *t = lua_touserdata(L, call_index);
    int name = lua_gettop(L) + 1;
    t->is_part = true;
    t->call.progress.partial = true;
    for (lua_pushnil(L); lua_next(L, more); lua_settop(L, name))
        call_keep(L, call_index, lua_tostring(L, name), name + 1);
}

/* Whether the option `verify` of the table at index (or nil) is false, and not only missing. */
static bool is_verify_off(lua_State *L, int index)
{
    bool off;
    if (!lua_istable(L, index))
        return false;
    lua_pushliteral(L, "verify");
    off = lua_rawget(L, index) == LUA_TBOOLEAN && !lua_toboolean(L, -1);
    lua_pop(L, 1);
    return off;
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
    t->believed = is_verify_off(L, index);
    lua_pushboolean(L, t->believed);
    call_keep(L, call_index, "believed", -1);
    lua_pop(L, 1);
    call_set_progress(L, index, call_index);
    call_keep(L, call_index, "body", body);
}

/* A handle is returned at once, so it needs no slot. Where the call cannot yield, no other transfer
 * could free a slot meanwhile; and a transfer that waits for its callback keeps its own. */
int transfer_begin(lua_State *L, call *c)
{
    const remote *r = c->remote;
    const task *t = c->op.lp->current;
    if (((transfer *)c)->mode == TRANSFER_HANDLE)
        return transfer_look(L, c);
    if (!op_can_yield(L, c->op.lp) || (t && t->reports > 0)) {
        slots_acquire_now(r->slots, &c->op);
        return transfer_look(L, c);
    }
    if (slots_acquire(r->slots, &c->op, r->max_moves))
        return transfer_look(L, c);
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
    return c->op.slot.held ? transfer_look(L, c) : fail_not_started(L, c);
}

/* ---- jobs that move the same already ---- */

/* A job goes on when the script that started it has ended, and a second process may work on the same
 * list. So the server's jobs are looked at as late as possible: when the transfer has its slot. */
static int transfer_look(lua_State *L, call *c)
{
    if (!((transfer *)c)->is_part || (c->deadline > 0 && clock_now() >= c->deadline))
        return transfer_submit(L, c);
    return call_get(L, c, transfer_on_jobs, "/jobs?expand");
}

/* Where the list cannot be had at all, the transfer goes on without this look. */
static int transfer_on_jobs(lua_State *L, call *c)
{
    enum { FORBIDDEN = 403, NOT_FOUND = 404, WRONG_METHOD = 405 }; /* HTTP status */
    int status = (int)c->op.transfer.status, jobs = c->op.index + 1;
    if (call_answer_of(L, c, SHAPE_LIST_OF_OBJECTS) != 1) {
        if (status != FORBIDDEN && status != NOT_FOUND && status != WRONG_METHOD)
            return 2;
        lua_settop(L, c->op.index);
        return transfer_submit(L, c);
    }
    parts_push_function(L, "core.running_jobs", "of_resources");
    lua_pushvalue(L, jobs);
    call_push_data(L, c);
    lua_call(L, 2, 1);
    if (lua_isnil(L, -1)) {
        lua_settop(L, c->op.index);
        return transfer_submit(L, c);
    }
    lua_pushnil(L);
    lua_insert(L, -2);
    lua_pushliteral(L, "busy");
    return 3;
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
    c->request.latest = ((transfer *)c)->latest;
    result =
        call_post(L, c, transfer_on_submitted, CALL_REMOTE, "%s", lua_tostring(L, c->op.index + 1));
    c->request.latest = 0; /* the requests that follow only ask */
    c->deadline = deadline;
    if (result == OP_WAIT) {
        c->op.on_stop = transfer_on_stop;
        c->op.is_transfer = true;
        c->op.keeps_request = !blocking;
    }
    return result;
}

/* Whether the error on the top says that the server has removed the job of a blocking request before it
 * could answer. Only the text of this 404 shows that. */
static bool says_job_removed(lua_State *L)
{
    bool removed;
    lua_getfield(L, -1, "details");
    removed = lua_isstring(L, -1) && strstr(lua_tostring(L, -1), "status of the job");
    lua_pop(L, 1);
    return removed;
}

/* Sets the code of the error on the top when its text says that the peer is unknown. The status does not
 * show it: it is the same when a resource is unknown. */
static void set_unknown_peer(lua_State *L)
{
    lua_getfield(L, -1, "details");
    if (lua_isstring(L, -1) && strstr(lua_tostring(L, -1), "No peer")) {
        lua_pushliteral(L, "unknown_peer");
        lua_setfield(L, -3, "code");
    }
    lua_pop(L, 1);
}

/* A job's record does not say everything: in some versions not the target, in none the modality's
 * name. The Lua half remembers both for the jobs that it started. */
static void note_started(lua_State *L, const call *c)
{
    char job[ORTHANC_ID_SIZE];
    int top = lua_gettop(L);
    if (!((const transfer *)c)->is_part || !orthanc_answer_id(c->op.transfer.body, job))
        return;
    parts_push_function(L, "core.running_jobs", "note");
    call_push_data(L, c);
    lua_pushstring(L, job);
    lua_call(L, 2, 0);
    lua_settop(L, top);
}

/* Pushes the answer, which is decoded on the top, for a message. That of a store to a peer can have
 * secrets: then the decoded value, which has none, is made a text again. */
static void push_answer(lua_State *L, const call *c)
{
    const http_transfer *t = &c->op.transfer;
    const char *text = t->body ? t->body : "";
    size_t size = t->body_size;
    if (c->remote->kind == &remote_peer && lua_istable(L, -1) && json_encode(L, -1, NULL))
        text = lua_tolstring(L, -1, &size);
    response_push_quoted(L, text, size);
}

static int transfer_on_submitted(lua_State *L, call *c)
{
    transfer *t = (transfer *)c;
    c->op.keeps_request = false;
    if (call_answer(L, c) != 1)
        return transfer_on_refusal(L, c);
    note_started(L, c);
    if (t->mode != TRANSFER_BLOCKING && keep_job_id(L, t)) {
        if (t->mode == TRANSFER_HANDLE) {
            remember(L, t);
            return 1;
        }
        lua_settop(L, c->op.index);
        return job_poll_begin(L, c, c->op.transfer.seconds);
    }
    if (is_old_move(L, c)) {
        call_keep(L, c->op.index, "result", -1);
        lua_settop(L, c->op.index);
        c->needs.not_sure = true;
        return version_ask(L, c, transfer_on_old_move);
    }
    if (t->mode == TRANSFER_BLOCKING && is_result(L, c))
        return job_poll_is_incomplete(L, c, lua_gettop(L)) ? 2 : transfer_on_success(L, c);
    push_answer(L, c);
    return fail_no_outcome(L, c, lua_tostring(L, -1));
}

/* The request failed. Stack: nil, error. */
static int transfer_on_refusal(lua_State *L, call *c)
{
    const transfer *t = (const transfer *)c;
    int dimse;
    if (says_job_removed(L))
        return transfer_on_job_gone(L, c);
    if (t->mode != TRANSFER_BLOCKING && error_is_kind(L, -1, "timeout")) {
        response_set_unknown(L); /* there may be a job, but its identifier is unknown */
        lua_pushnil(L);
        lua_setfield(L, -2, "still_running");
    }
    set_unknown_peer(L);
    job_poll_add_hint(L, c);
    lua_getfield(L, -1, "dimse_status");
    dimse = lua_isnil(L, -1) ? -1 : (int)lua_tointeger(L, -1);
    lua_pop(L, 1);
    if (!t->by_get && c->remote->kind == &remote_modality && dimse_blames_destination(dimse) &&
        strcmp(c->op.name, "store") != 0)
        return job_poll_explain_move(L, c);
    return 2;
}

/* Whether the answer on the top is an object that names a job. Keeps its identifier. */
static bool keep_job_id(lua_State *L, transfer *t)
{
    int answer = lua_gettop(L);
    bool named = !shape_differs(L, answer, SHAPE_OBJECT) &&
                 !shape_member_differs(L, answer, "ID", SHAPE_HANDLE);
    lua_settop(L, answer); /* the difference */
    if (named) {
        lua_getfield(L, answer, "ID");
        strcpy(t->poll.job, lua_tostring(L, -1));
        lua_pop(L, 1);
    }
    return named;
}

/* Whether the answer on the top is {}, which means yes where /move makes no jobs, before 1.11.1. */
static bool is_old_move(lua_State *L, const call *c)
{
    int answer = lua_gettop(L);
    bool is = c->route && strncmp(c->route, "/modalities/", 12) == 0 &&
              strcmp(strrchr(c->route, '/'), "/move") == 0 &&
              !shape_differs(L, answer, SHAPE_EMPTY_OBJECT);
    lua_settop(L, answer); /* the difference */
    return is;
}

static int transfer_on_old_move(lua_State *L, call *c)
{
    if (version_of(c) >= ORTHANC_MOVE_JOBS)
        return fail_no_outcome(L, c, "{}");
    call_push(L, c, "result");
    return transfer_on_success(L, c);
}

/* Whether the answer on the top has what a blocking transfer ends with in all versions. */
static bool is_result(lua_State *L, const call *c)
{
    static const char *const keys[][2] = { { "Peer", "InstancesCount" },
                                           { "RemoteAet", "InstancesCount" },
                                           { "RemoteAet", "Query" } };
    bool stores = strcmp(c->op.name, "store") == 0;
    const char *const *has = keys[!stores ? 2 : c->remote->kind == &remote_peer ? 0 : 1];
    int answer = lua_gettop(L);
    bool is = lua_istable(L, answer) && lua_getfield(L, answer, "HttpStatus") == LUA_TNIL &&
              lua_getfield(L, answer, has[0]) != LUA_TNIL &&
              lua_getfield(L, answer, has[1]) != LUA_TNIL;
    lua_settop(L, answer);
    return is;
}

/* The answer, whose text is given, says neither that a job was made nor what a transfer did. */
static int fail_no_outcome(lua_State *L, call *c, const char *answer)
{
    call_fail(
        L, c, "unknown", "decode",
        "unexpected response: the server accepted the request, but its answer names no job and "
        "no result (%s); whether it has carried it out is not known",
        *answer ? answer : "it is empty");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "retryable");
    return 2;
}

/* Why the server's success is no proof; NULL = it may be one. */
static const char *verify_reason(const transfer *t)
{
    if (t->believed)
        return NULL;
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

/* Pushes what the part needs beside the result on the top: the reason and the job. */
static int give_to_part(lua_State *L, const call *c, const char *reason)
{
    lua_pushstring(L, reason);
    lua_pushstring(L, c->poll->job[0] ? c->poll->job : NULL);
    return 3;
}

/* Whether the transfer has several resources, of which the server may have skipped some. */
static bool has_several(lua_State *L, const call *c)
{
    bool several;
    call_push(L, c, "resources");
    several = lua_istable(L, -1) && lua_rawlen(L, -1) > 1;
    lua_pop(L, 1);
    return several;
}

/* The server reports a success, of which no part failed. Its result is on the top. */
static int transfer_on_success(lua_State *L, call *c)
{
    const transfer *t = (const transfer *)c;
    const char *reason = verify_reason(t);
    int result = lua_gettop(L);
    bool has_details;
    if (t->is_part)
        return give_to_part(L, c, reason);
    /* Newer servers list what they did; the Lua half reads these lists. */
    has_details = lua_getfield(L, result, "Details") != LUA_TNIL ||
                  lua_getfield(L, result, "Resources") != LUA_TNIL;
    lua_settop(L, result);
    return reason || has_details || t->by_get || has_several(L, c) ? verify(L, c, result, reason)
                                                                   : 1;
}

static int transfer_on_job_gone(lua_State *L, call *c)
{
    static const char reason[] = "the server has removed the job before its outcome was read";
    if (((const transfer *)c)->is_part) {
        lua_pushboolean(L, 0);
        return give_to_part(L, c, reason);
    }
    lua_pushnil(L);
    return verify(L, c, lua_gettop(L), reason);
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

/* ---- transfers that the caller waits for with job:wait() ---- */

/* The Lua half keeps the transfer's data for job:wait(). Its job is t->poll.job. [-0, +0, v] */
static void remember(lua_State *L, const transfer *t)
{
    const call *c = &t->call;
    int top = lua_gettop(L);
    parts_push(L, "core.job_outcome");
    lua_getfield(L, -1, "remember");
    call_push_client(L, c);
    lua_pushstring(L, t->poll.job);
    call_push_data(L, c);
    lua_pushstring(L, c->op.name);
    lua_setfield(L, -2, "op");
    lua_pushstring(L, verify_reason(t));
    lua_setfield(L, -2, "reason");
    lua_call(L, 3, 0);
    lua_settop(L, top);
}

/* The wait has ended without the job's outcome. Stack: nil, error. */
static int transfer_on_open(lua_State *L, call *c)
{
    remember(L, (transfer *)c);
    return 2;
}

/* ---- a cancelled transfer: its job is cancelled on the server ---- */

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

/* The answer to the submission of a cancelled transfer names the job, which can be cancelled now. */
static bool cancel_named_job(op *o)
{
    transfer *t = (transfer *)o;
    http_request r;
    if (!orthanc_answer_id(o->transfer.body, t->poll.job))
        return false;
    r = cancel_request(t);
    return op_send(o, t->call.client->server, &r);
}

static void transfer_on_stop(lua_State *L, op *o, bool detached)
{
    transfer *t = (transfer *)o;
    http_request r;
    if (o->keeps_request) {
        if (o->transfer.state == HTTP_RUNNING || o->transfer.state == HTTP_DONE)
            cleanup_take_over(L, o, NULL, detached ? NULL : cancel_named_job);
    } else if (t->poll.job[0] && !detached) {
        r = cancel_request(t);
        cleanup_take_over(L, o, &r, NULL);
    } else if (t->poll.job[0]) {
        remember(L, t); /* the caller can still wait for it */
    }
}
