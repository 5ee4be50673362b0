#include "api/job.h"

#include <lauxlib.h>
#include <string.h>

#include "api/transfer.h"
#include "binding/doc.h"
#include "binding/error.h"
#include "binding/options.h"
#include "binding/userdata.h"

#define JOB_TYPE "modalua.Job"

enum { JOB_CLIENT = 1 }; /* its user value */

/* Below a call: the job, and its client. */
enum { JOB_CLIENT_ON_STACK = 2 };

typedef struct job {
    char id[ORTHANC_ID_SIZE];
} job;

typedef struct job_call {
    job_poll poll;
    const char *action; /* of the path */
} job_call;

static job *check_job(lua_State *L, int index)
{
    return luaL_checkudata(L, index, JOB_TYPE);
}

int job_push(lua_State *L, int client_index, int id)
{
    const char *text;
    job *j;
    client_check(L, client_index);
    if (lua_istable(L, id))
        lua_getfield(L, id, "ID");
    else
        lua_pushvalue(L, id);
    text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
    if (!orthanc_is_handle(text) || strlen(text) != lua_rawlen(L, -1))
        error_usage(L, "job: the identifier of a job is expected, or a table with it in ID");
    j = lua_newuserdatauv(L, sizeof *j, JOB_CLIENT);
    strcpy(j->id, text);
    luaL_setmetatable(L, JOB_TYPE);
    lua_pushvalue(L, client_index);
    lua_setiuservalue(L, -2, JOB_CLIENT);
    return 1;
}

/* Pushes a call on the job at 1; the stack is left with the job, its client and the call on top. */
static job_call *push_call(lua_State *L, const char *name, call_step first)
{
    const job *j = check_job(L, 1);
    job_call *c;
    lua_getiuservalue(L, 1, JOB_CLIENT);
    c = (job_call *)call_new(L, doc_loop(L), sizeof *c, -1, name, first);
    strcpy(c->poll.job, j->id);
    return c;
}

/* ---- status ---- */

static int ask_status(lua_State *L, call *c)
{
    return call_get(L, c, call_answer, "/jobs/%s", ((job_call *)c)->poll.job);
}

static int l_status(lua_State *L)
{
    lua_settop(L, 1);
    return op_run(L, &push_call(L, "status", ask_status)->poll.base.call.base);
}

/* ---- wait ---- */

static int begin(lua_State *L, call *c)
{
    return job_poll_begin(L, (job_poll *)c, 0);
}

static bool is_by_get(lua_State *L, int record)
{
    bool by_get = lua_getfield(L, record, "Type") == LUA_TSTRING &&
                  strcmp(lua_tostring(L, -1), "DicomGetScu") == 0;
    lua_pop(L, 1);
    return by_get;
}

/* Pushes what this client keeps of a transfer that it has started, once, for the Lua half to prove
 * its outcome; false, and pushes nothing, when it has not. */
static bool push_transfer(lua_State *L, call *c)
{
    int top = lua_gettop(L);
    lua_getiuservalue(L, JOB_CLIENT_ON_STACK, CLIENT_DOUBTS);
    if (lua_getfield(L, -1, ((job_poll *)c)->job) != LUA_TTABLE) {
        lua_settop(L, top);
        return false;
    }
    lua_pushnil(L);
    lua_setfield(L, top + 1, ((job_poll *)c)->job);
    lua_pushstring(L, c->base.name);
    lua_setfield(L, -2, "called");
    return true;
}

static int unproven(lua_State *L, job_poll *w, int result)
{
    call_fail(L, &w->base.call, "unknown", "unproven",
              "the server reports success, but before Orthanc 1.12.10 it does so of a C-GET that "
              "fails too");
    lua_pushvalue(L, result);
    lua_setfield(L, -2, "result");
    job_poll_set_job(L, w);
    return 2;
}

/* The result, as the record gives it. */
static int result_known(lua_State *L, call *c)
{
    job_poll *w = (job_poll *)c;
    int result;
    call_push_data(L, c);
    lua_getfield(L, -1, "result");
    result = lua_gettop(L);
    if (job_poll_is_partial(L, w, result))
        return 2;
    if (push_transfer(L, c)) {
        lua_getfield(L, -1, "reason");
        lua_insert(L, -2); /* result … reason data */
        return transfer_resolve(L, w, result, lua_tostring(L, -2));
    }
    lua_getfield(L, result - 1, "by_get");
    if (lua_toboolean(L, -1) && !orthanc_tells_failed_gets(c->client->version))
        return unproven(L, w, result);
    lua_settop(L, result);
    return 1;
}

static int succeeded(lua_State *L, call *c)
{
    int record = lua_gettop(L);
    bool by_get = is_by_get(L, record);
    call_push_data(L, c);
    lua_getfield(L, record, "Content");
    lua_setfield(L, -2, "result");
    lua_pushboolean(L, by_get);
    lua_setfield(L, -2, "by_get");
    lua_settop(L, c->base.index);
    return by_get ? call_need_version(L, c, result_known) : result_known(L, c);
}

/* nil and the error are on the top. */
static int forgotten(lua_State *L, call *c)
{
    job_poll *w = (job_poll *)c;
    if (push_transfer(L, c)) {
        lua_pushnil(L);
        lua_insert(L, -2);
        return transfer_resolve(L, w, lua_gettop(L) - 1, "the server has forgotten the job");
    }
    job_poll_set_job(L, w);
    return 2;
}

static int l_wait(lua_State *L)
{
    job_call *c;
    check_job(L, 1);
    lua_settop(L, 2);
    c = push_call(L, "wait", begin); /* job options client call */
    call_read_wait(L, 2, &c->poll.base.call, call_wait_rows);
    lua_remove(L, 2);
    c->poll.succeeded = succeeded;
    c->poll.forgotten = forgotten;
    return op_run(L, &c->poll.base.call.base);
}

/* ---- what can be done to it ---- */

enum { REFUSED = 400 }; /* HTTP's status */

/* Orthanc refuses with an empty 400, whatever the reason. */
static int action_answered(lua_State *L, call *c)
{
    job_call *j = (job_call *)c;
    if (call_answer(L, c) == 1) {
        lua_pushboolean(L, 1);
        return 1;
    }
    if (c->base.transfer.status == REFUSED && c->base.transfer.body_size == 0) {
        call_fail(L, c, "orthanc", "job_state",
                  "the server does not do that to this job: it may be unknown there, or not in a "
                  "state for it (status() tells)");
        error_set_integer(L, "status", REFUSED);
    }
    job_poll_set_job(L, &j->poll);
    return 2;
}

static int act(lua_State *L, call *c)
{
    const job_call *j = (job_call *)c;
    lua_newtable(L);
    return call_post(L, c, action_answered, CALL_CHANGE, "/jobs/%s/%s", j->poll.job, j->action);
}

static int run_action(lua_State *L, const char *action)
{
    job_call *c;
    lua_settop(L, 1);
    c = push_call(L, action, act);
    c->action = action;
    return op_run(L, &c->poll.base.call.base);
}

static int l_cancel(lua_State *L)
{
    return run_action(L, "cancel");
}

static int l_pause(lua_State *L)
{
    return run_action(L, "pause");
}

static int l_resume(lua_State *L)
{
    return run_action(L, "resume");
}

static int l_resubmit(lua_State *L)
{
    return run_action(L, "resubmit");
}

/* ---- the object ---- */

static int l_index(lua_State *L)
{
    const job *j = check_job(L, 1);
    if (lua_type(L, 2) == LUA_TSTRING && strcmp(lua_tostring(L, 2), "ID") == 0) {
        lua_pushstring(L, j->id);
        return 1;
    }
    return userdata_method(L);
}

static int l_tostring(lua_State *L)
{
    lua_pushfstring(L, "%s %s", JOB_TYPE, check_job(L, 1)->id);
    return 1;
}

static const doc_row methods[] = {
    { .name = "status",
      .function = l_status,
      .signature = "job:status() -> table | nil, err",
      .help = "Returns what the server knows about the job: State (Pending, Running, Success, "
              "Failure, Paused, Retry), Type, Progress, ErrorCode, ErrorDetails, Content and more.",
      .example = "local job = orthanc:job(assert(pacs:move(found, { to = \"archive\", Synchronous "
                 "= false })))\n"
                 "print(assert(job:status()).State)" },
    { .name = "wait",
      .function = l_wait,
      .signature = "job:wait([options]) -> result | nil, err",
      .help = "Waits until the job has ended, and returns what the operation that started it would "
              "have returned. For a job of another client this is as much as the server tells. "
              "Cancelling the wait leaves the job alone.",
      .options = { { "options", call_wait_rows, NULL } },
      .example = "local job = orthanc:job(assert(pacs:move(found, { to = \"archive\", Synchronous "
                 "= false })))\n"
                 "assert(job:wait { wait_timeout = 60, progress = true })" },
    { .name = "cancel",
      .function = l_cancel,
      .signature = "job:cancel() -> true | nil, err",
      .help = "Ends the job. A job that is running first finishes the resource that it works on.",
      .example = "local job = orthanc:job(assert(pacs:move(found, { to = \"archive\", Synchronous "
                 "= false })))\n"
                 "print(job:cancel()) -- true, or nil and an error when it has ended before" },
    { .name = "pause",
      .function = l_pause,
      .signature = "job:pause() -> true | nil, err",
      .help = "Pauses the job when it has finished the resource that it works on.",
      .example = "local job = orthanc:job(assert(pacs:move(found, { to = \"archive\", Synchronous "
                 "= false })))\n"
                 "print(job:pause()) -- true, or nil and an error when it has ended before" },
    { .name = "resume",
      .function = l_resume,
      .signature = "job:resume() -> true | nil, err",
      .help = "Lets a paused job go on.",
      .example = "local job = orthanc:job(assert(pacs:move(found, { to = \"archive\", Synchronous "
                 "= false })))\n"
                 "if job:pause() then print(job:resume()) end" },
    { .name = "resubmit",
      .function = l_resubmit,
      .signature = "job:resubmit() -> true | nil, err",
      .help = "Runs a failed job again. It keeps its identifier.",
      .example = "local job = orthanc:job(assert(pacs:move(found, { TargetAet = \"NOWHERE\", "
                 "Synchronous = false })))\n"
                 "print(job:wait())\n"
                 "assert(job:resubmit())" },
    { .name = NULL }
};

void job_open(lua_State *L, loop *lp)
{
    static const luaL_Reg meta[] = { { "__index", l_index },
                                     { "__tostring", l_tostring },
                                     { NULL, NULL } };
    lua_newtable(L);
    doc_register(L, lp, methods);
    userdata_open(L, lp, JOB_TYPE, meta);
    lua_pop(L, 1);
}
