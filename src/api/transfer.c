#include "api/transfer.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "binding/error.h"
#include "binding/parts.h"
#include "engine/cleanup.h"
#include "engine/timer.h"

enum { DOUBTS_MAX = 1000 };

/* ---- life ---- */

static int succeeded(lua_State *L, call *c);
static int forgotten(lua_State *L, call *c);

transfer *transfer_new(lua_State *L, loop *lp, size_t size, int client_index, const char *name,
                       call_step first)
{
    transfer *t = (transfer *)call_new(L, lp, size, client_index, name, first);
    t->synchronous = -1;
    t->poll.succeeded = succeeded;
    t->poll.forgotten = forgotten;
    return t;
}

void transfer_take_mode(lua_State *L, transfer *t, int body)
{
    t->synchronous = route_options_take_synchronous(L, body, t->poll.base.call.base.name);
    lua_getfield(L, body, "Permissive");
    t->permissive = lua_toboolean(L, -1);
    lua_pop(L, 1);
}

int transfer_resolve(lua_State *L, const job_poll *w, int result, const char *reason)
{
    const call *c = &w->base.call;
    int first = c->base.index + 1;
    if (c->deadline > 0) {
        lua_pushnumber(L, c->deadline);
        lua_setfield(L, -2, "deadline");
    }
    lua_pushvalue(L, result);
    lua_setfield(L, -2, "result");
    if (w->job[0]) {
        lua_pushstring(L, w->job);
        lua_setfield(L, -2, "job");
    }
    lua_insert(L, first);
    lua_settop(L, first);
    parts_push_function(L, "core.arrival", "resolve");
    lua_insert(L, first);
    lua_pushstring(L, reason);
    return OP_CALL;
}

/* ---- what this server can do ---- */

static int version_known(lua_State *L, call *c)
{
    transfer *t = (transfer *)c;
    int has = c->client->version;
    if (has < t->route->since)
        return call_unsupported(L, c, "C-GET (find and move, by C-MOVE, do the same)",
                                t->route->since);
    if (has < t->least)
        return call_unsupported(L, c, "C-MOVE without waiting for it", t->least);
    if (call_lacks_key(L, c, t->newest))
        return 2;
    return t->prepared(L, c);
}

int transfer_check_version(lua_State *L, call *c)
{
    transfer *t = (transfer *)c;
    if (t->route->since > 0 || t->least > 0 || t->newest || t->by_get)
        return call_need_version(L, c, version_known);
    return t->prepared(L, c);
}

/* ---- stopping what runs on the server ---- */

static http_request stop_request(transfer *t)
{
    http_request r = { .method = "POST",
                       .path = t->stop_path,
                       .body = "{}",
                       .body_size = 2,
                       .content_type = "application/json",
                       .side_effects = true,
                       .timeout = t->poll.base.call.client->timeout };
    snprintf(t->stop_path, sizeof t->stop_path, "/jobs/%s/cancel", t->poll.job);
    return r;
}

/* The request has been answered, with the job's identifier, when nobody wanted it any more. */
static bool stop_named(op *o)
{
    transfer *t = (transfer *)o;
    http_request r;
    if (!orthanc_answer_id(o->transfer.body, t->poll.job))
        return false;
    r = stop_request(t);
    return op_send(o, t->poll.base.call.client->server, &r);
}

static void stopped(lua_State *L, op *o, bool detached)
{
    transfer *t = (transfer *)o;
    http_request r;
    if (o->keeps_request) {
        if (o->transfer.state == HTTP_RUNNING || o->transfer.state == HTTP_DONE)
            cleanup_take_over(L, o, NULL, detached ? NULL : stop_named);
    } else if (t->poll.job[0] && !detached) {
        r = stop_request(t);
        cleanup_take_over(L, o, &r, NULL);
    }
}

/* ---- the outcome ---- */

/* The Lua half compares what has arrived with what should have; without a reason it looks at the
 * result whether it has to. The server's result is on the top, or nil. */
static int in_doubt(lua_State *L, transfer *t, const char *reason)
{
    call *c = &t->poll.base.call;
    int result = lua_gettop(L);
    call_push_data(L, c);
    lua_pushstring(L, c->base.name);
    lua_setfield(L, -2, "op");
    return transfer_resolve(L, &t->poll, result, reason);
}

/* Why a success is not believed before it is proven; NULL = it is. */
static const char *doubt_of(const transfer *t)
{
    if (t->by_get && !orthanc_tells_failed_gets(t->poll.base.call.client->version))
        return "before Orthanc 1.12.10 a C-GET that fails is reported as a success";
    return t->permissive ? "Permissive hides failures" : t->doubt;
}

/* Newer versions say more, which has to be looked at. */
static bool says_more(lua_State *L, int content)
{
    bool more = lua_getfield(L, content, "Details") != LUA_TNIL ||
                lua_getfield(L, content, "Resources") != LUA_TNIL;
    lua_settop(L, content);
    return more;
}

/* The server reports success; what it reports is on the top. */
static int outcome(lua_State *L, transfer *t)
{
    int content = lua_gettop(L);
    if (job_poll_is_partial(L, &t->poll, content))
        return 2;
    if (doubt_of(t) || says_more(L, content))
        return in_doubt(L, t, doubt_of(t));
    return 1;
}

static int succeeded(lua_State *L, call *c)
{
    lua_getfield(L, -1, "Content");
    return outcome(L, (transfer *)c);
}

static int forgotten(lua_State *L, call *c)
{
    lua_pushnil(L);
    return in_doubt(L, (transfer *)c,
                    "the server has forgotten the job before its outcome was seen");
}

/* ---- the request ---- */

/* A blocking request is a job too, and may be forgotten before its own answer is written: a 404
 * that only its text tells from others. The error is on the top. */
static bool is_forgotten(lua_State *L)
{
    bool forgotten_job;
    lua_getfield(L, -1, "details");
    forgotten_job = lua_isstring(L, -1) && strstr(lua_tostring(L, -1), "status of the job");
    lua_pop(L, 1);
    return forgotten_job;
}

/* What is unknown, the peer or what it is to be sent, only the text tells too. nil and the error
 * are on the top. */
static void tell_unknown_peer(lua_State *L)
{
    lua_getfield(L, -1, "details");
    if (lua_isstring(L, -1) && strstr(lua_tostring(L, -1), "No peer")) {
        lua_pushliteral(L, "unknown_peer");
        lua_setfield(L, -3, "code");
    }
    lua_pop(L, 1);
}

/* Of a job that the caller will wait for by himself: the client keeps what is needed to prove its
 * outcome, of so many jobs. The handle is on the top. */
static void remember(lua_State *L, transfer *t)
{
    int handle = lua_gettop(L), data = handle + 1;
    call *c = &t->poll.base.call;
    if (!orthanc_answer_id(c->base.transfer.body, t->poll.job))
        return;
    call_push_data(L, c);
    lua_pushstring(L, c->base.name);
    lua_setfield(L, data, "op");
    lua_pushstring(L, doubt_of(t));
    lua_setfield(L, data, "reason");
    lua_getfield(L, data, "client");
    if (++c->client->doubts > DOUBTS_MAX) {
        c->client->doubts = 1;
        lua_newtable(L);
        lua_setiuservalue(L, -2, CLIENT_DOUBTS);
    }
    lua_getiuservalue(L, -1, CLIENT_DOUBTS);
    lua_pushvalue(L, data);
    lua_setfield(L, -2, t->poll.job);
    lua_settop(L, handle);
}

static int submitted(lua_State *L, call *c)
{
    transfer *t = (transfer *)c;
    int results = call_answer(L, c);
    c->base.keeps_request = false;
    if (results != 1) {
        if (is_forgotten(L))
            return forgotten(L, c);
        tell_unknown_peer(L);
        job_poll_add_hint(L, c);
        return results;
    }
    if (t->synchronous == 0) {
        remember(L, t);
        return 1;
    }
    if (t->synchronous < 0 && orthanc_answer_id(c->base.transfer.body, t->poll.job)) {
        lua_settop(L, c->base.index);
        return job_poll_begin(L, &t->poll, c->base.transfer.seconds);
    }
    return outcome(L, t); /* of a blocking request, or of a route that is never a job */
}

static int not_started(lua_State *L, const call *c)
{
    const remote *m = ((const transfer *)c)->poll.base.modality;
    return call_fail(L, c, "timeout", "not_started",
                     "wait_timeout was over before its turn came (%d transfers at once with %s: "
                     "max_moves); nothing was sent",
                     (int)m->max_moves, m->name);
}

/* A job whose submission is not waited for to its end would run on without a name: so that may take
 * the client's timeout, whatever the caller's. */
static void extend_deadline(call *c, double now)
{
    double least = c->client->timeout > 0 ? now + c->client->timeout : 0;
    if (c->deadline > 0 && (least == 0 || c->deadline < least))
        c->deadline = least;
}

static int submit(lua_State *L, call *c)
{
    transfer *t = (transfer *)c;
    double now = clock_now(), deadline = c->deadline;
    int data = c->base.index + 1, waiting;
    if (deadline > 0 && now >= deadline)
        return not_started(L, c);
    if (t->synchronous != 1)
        extend_deadline(c, now);
    call_push_data(L, c);
    lua_getfield(L, data, "body");
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, t->synchronous == 1 ? "Synchronous" : "Asynchronous");
    lua_getfield(L, data, "path");
    lua_insert(L, -2);
    waiting = call_post(L, c, submitted, CALL_REMOTE, "%s", lua_tostring(L, -2));
    c->deadline = deadline;
    if (waiting == OP_WAIT) {
        c->base.on_stop = stopped;
        c->base.keeps_request = t->synchronous != 1;
    }
    return waiting;
}

/* Its turn has come, or the caller's deadline. */
static int admitted(lua_State *L, call *c)
{
    timer_clear(&c->base);
    return c->base.slot.held ? submit(L, c) : not_started(L, c);
}

int transfer_begin(lua_State *L, call *c)
{
    const transfer *t = (transfer *)c;
    const remote *m = t->poll.base.modality;
    if (t->synchronous == 0)
        return submit(L, c);
    if (!op_can_yield(L, c->base.lp)) {
        slots_acquire_now(m->slots, &c->base);
        return submit(L, c);
    }
    if (slots_acquire(m->slots, &c->base, m->max_moves))
        return submit(L, c);
    c->step = admitted;
    if (c->deadline > 0 && !timer_set(&c->base, c->deadline)) {
        error_new(L, "limit", "memory", "not enough memory for a timer");
        op_throw(L, &c->base);
    }
    return OP_WAIT;
}
