#include "ltransfer.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "lerror.h"

static const char resolver_key; /* of the Lua half's function in the registry */

/* ---- life ---- */

static int succeeded(lua_State *L, call *c);
static int forgotten(lua_State *L, call *c);

transfer *ltransfer_new(lua_State *L, loop *lp, size_t size, int client_index, const char *name,
                        call_step first)
{
    transfer *t = (transfer *)lcall_new(L, lp, size, client_index, name, first);
    t->synchronous = -1;
    t->watch.succeeded = succeeded;
    t->watch.forgotten = forgotten;
    return t;
}

void ltransfer_take_mode(lua_State *L, transfer *t, int body)
{
    t->synchronous = lroute_take_synchronous(L, body, t->watch.base.call.base.name);
    lua_getfield(L, body, "Permissive");
    t->permissive = lua_toboolean(L, -1);
    lua_pop(L, 1);
}

void ltransfer_set_resolver(lua_State *L)
{
    lua_rawsetp(L, LUA_REGISTRYINDEX, &resolver_key);
}

/* ---- what this server can do ---- */

static int push_unsupported(lua_State *L, const call *c, const char *what, int since)
{
    int has = c->client->version;
    return lcall_fail(L, c, "orthanc", "unsupported",
                      "this server is Orthanc %d.%d.%d, and %s came with %d.%d.%d", has / 10000,
                      has / 100 % 100, has % 100, what, since / 10000, since / 100 % 100,
                      since % 100);
}

static int version_known(lua_State *L, call *c)
{
    transfer *t = (transfer *)c;
    int has = c->client->version;
    if (has < t->route->since)
        return push_unsupported(L, c, "C-GET (find and move, by C-MOVE, do the same)",
                                t->route->since);
    if (has < t->least)
        return push_unsupported(L, c, "C-MOVE without waiting for it", t->least);
    if (t->newest && has < t->newest->since)
        return push_unsupported(L, c,
                                lua_pushfstring(L, "'%s' of %s", t->newest->name, c->base.name),
                                t->newest->since);
    return t->prepared(L, c);
}

int ltransfer_check_version(lua_State *L, call *c)
{
    transfer *t = (transfer *)c;
    if (t->route->since > 0 || t->least > 0 || t->newest || t->by_get)
        return lcall_need_version(L, c, version_known);
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
                       .timeout = t->watch.base.call.client->timeout };
    snprintf(t->stop_path, sizeof t->stop_path, "/jobs/%s/cancel", t->watch.job);
    return r;
}

/* The request has been answered, with the job's identifier, when nobody wanted it any more. */
static bool stop_named(op *o)
{
    transfer *t = (transfer *)o;
    http_request r;
    if (!orthanc_answer_id(o->transfer.body, t->watch.job))
        return false;
    r = stop_request(t);
    return op_farewell_request(o, t->watch.base.call.client->server, &r);
}

static void stopped(lua_State *L, op *o)
{
    transfer *t = (transfer *)o;
    http_request r;
    if (o->committed) {
        if (o->transfer.state == HTTP_RUNNING || o->transfer.state == HTTP_DONE)
            op_become_farewell(L, o, NULL, stop_named);
    } else if (t->watch.job[0]) {
        r = stop_request(t);
        op_become_farewell(L, o, &r, NULL);
    }
}

/* ---- the outcome ---- */

/* A target that is wrong is the usual reason for this status; data.hint knows better. */
static void add_hint(lua_State *L, const call *c)
{
    int error = lua_gettop(L);
    lcall_push_data(L, c);
    if (lua_getfield(L, -1, "hint") == LUA_TSTRING) {
        lua_getfield(L, error, "message");
        lua_pushfstring(L, "%s (%s)", lua_tostring(L, -1), lua_tostring(L, -2));
        lua_setfield(L, error, "message");
    }
    lua_settop(L, error);
}

/* Success, the server says, of the content at the index, part of which says otherwise. */
static int push_partly(lua_State *L, transfer *t, int content, int dimse)
{
    char status[32];
    snprintf(status, sizeof status, "DIMSE status 0x%04X", (unsigned)dimse);
    lcall_fail(L, &t->watch.base.call, "dicom", "incomplete",
               "not everything was transferred, though the server reports success: %s",
               dimse > 0 ? status : "some instances failed");
    if (dimse > 0) {
        lua_pushinteger(L, dimse);
        lua_setfield(L, -2, "dimse_status");
    }
    lua_pushvalue(L, content);
    lua_setfield(L, -2, "result");
    lwatch_set_job(L, &t->watch);
    return 2;
}

/* The Lua half compares what has arrived with what should have; without a reason, whether what a
 * store was about exists. The server's result is on the top, or nil. */
static int in_doubt(lua_State *L, transfer *t, const char *reason)
{
    call *c = &t->watch.base.call;
    int result = lua_gettop(L);
    lcall_push_data(L, c);
    lua_pushvalue(L, result);
    lua_setfield(L, -2, "result");
    lua_pushstring(L, c->base.name);
    lua_setfield(L, -2, "op");
    if (t->watch.job[0]) {
        lua_pushstring(L, t->watch.job);
        lua_setfield(L, -2, "job");
    }
    lua_insert(L, c->base.index + 1); /* data, and what is not needed */
    lua_settop(L, c->base.index + 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &resolver_key);
    lua_insert(L, -2);
    lua_pushstring(L, reason);
    return OP_CALL;
}

/* The server reports success; what it reports is on the top. */
static int outcome(lua_State *L, transfer *t)
{
    int content = lua_gettop(L), dimse = lwatch_details_dimse(L, content);
    bool failed = false;
    if (lua_istable(L, content)) {
        lua_getfield(L, content, "FailedInstancesCount");
        failed = lua_tointeger(L, -1) > 0;
        lua_settop(L, content);
    }
    if (dimse > 0 || failed)
        return push_partly(L, t, content, dimse);
    if (t->by_get && t->watch.base.call.client->version < ORTHANC_HONEST_C_GET)
        return in_doubt(L, t, "before Orthanc 1.12.10 a C-GET that fails is reported as a success");
    if (t->permissive)
        return in_doubt(L, t, "Permissive hides failures");
    if (t->doubt)
        return in_doubt(L, t, t->doubt);
    if (t->route == &orthanc_store && lua_istable(L, content) &&
        lua_getfield(L, content, "Resources") == LUA_TTABLE && lua_rawlen(L, -1) > 1) {
        lua_settop(L, content);
        return in_doubt(L, t,
                        NULL); /* newer versions leave out, without a word, what is not there */
    }
    lua_settop(L, content);
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

static int submitted(lua_State *L, call *c)
{
    transfer *t = (transfer *)c;
    int results = lcall_answer(L, c);
    c->base.committed = false;
    if (results != 1) {
        add_hint(L, c);
        return results;
    }
    if (t->synchronous == 0)
        return 1;
    if (t->synchronous < 0 && orthanc_answer_id(c->base.transfer.body, t->watch.job)) {
        lua_settop(L, c->base.index);
        return lwatch_begin(L, &t->watch, c->base.transfer.seconds);
    }
    return outcome(L, t); /* of a blocking request, or of a route that is never a job */
}

static int submit(lua_State *L, call *c)
{
    transfer *t = (transfer *)c;
    int data = c->base.index + 1, waiting;
    lcall_push_data(L, c);
    lua_getfield(L, data, "body");
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, t->synchronous == 1 ? "Synchronous" : "Asynchronous");
    lua_getfield(L, data, "path");
    lua_insert(L, -2);
    waiting = lcall_post(L, c, submitted, CALL_REMOTE, "%s", lua_tostring(L, -2));
    if (waiting == OP_WAIT) {
        c->base.stopped = stopped;
        c->base.committed = t->synchronous != 1;
    }
    return waiting;
}

/* Its turn has come, or the caller's deadline. */
static int admitted(lua_State *L, call *c)
{
    const transfer *t = (transfer *)c;
    loop_clear_timer(&c->base);
    if (c->base.in_lane)
        return submit(L, c);
    return lcall_fail(
        L, c, "timeout", "not_started",
        "wait_timeout is over before its turn came: %d transfers with %s were running "
        "(max_moves); nothing was sent",
        (int)t->watch.base.modality->max_moves, t->watch.base.modality->name);
}

int ltransfer_begin(lua_State *L, call *c)
{
    const transfer *t = (transfer *)c;
    const modality *m = t->watch.base.modality;
    if (t->synchronous == 0)
        return submit(L, c);
    if (!op_can_yield(L, c->base.lp)) {
        lane_push_in(m->lane, &c->base);
        return submit(L, c);
    }
    if (lane_enter(m->lane, &c->base, m->max_moves))
        return submit(L, c);
    c->step = admitted;
    if (c->deadline > 0 && !loop_set_timer(c->base.lp, &c->base, c->deadline))
        return lerror_throw(L, "limit", "memory", "not enough memory for a timer");
    return OP_WAIT;
}
