#include "api/job.h"

#include <lauxlib.h>
#include <string.h>

#include "api/job_poll.h"
#include "binding/doc.h"
#include "binding/error.h"
#include "binding/options.h"
#include "binding/parts.h"
#include "binding/userdata.h"
#include "orthanc/jobs.h"
#include "request/response.h"
#include "request/said.h"

#define JOB_TYPE "modalua.Job"

enum { JOB_CLIENT = 1 }; /* its user value */

typedef struct job {
    char id[ORTHANC_ID_SIZE];
} job;

typedef struct job_call {
    call call;
    job_poll poll;
    const char *action; /* the last part of the path: "cancel" */
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
        error_usage(L, "job: the ID of a job is expected, or a table with the field ID");
    j = lua_newuserdatauv(L, sizeof *j, JOB_CLIENT);
    strcpy(j->id, text);
    luaL_setmetatable(L, JOB_TYPE);
    lua_pushvalue(L, client_index);
    lua_setiuservalue(L, -2, JOB_CLIENT);
    return 1;
}

/* Pushes a call on the job at 1. */
static job_call *job_new_call(lua_State *L, const char *name, call_step first)
{
    const job *j = check_job(L, 1);
    job_call *c;
    lua_getiuservalue(L, 1, JOB_CLIENT);
    c = (job_call *)call_new(L, doc_loop(L), sizeof *c, -1, name, first);
    lua_remove(L, -2);
    c->call.poll = &c->poll;
    strcpy(c->poll.job, j->id);
    return c;
}

/* ---- status ---- */

static int job_on_status(lua_State *L, call *c)
{
    if (call_answer_of(L, c, SHAPE_OBJECT) != 1 ||
        !call_push_member(L, c, c->op.index + 1, "State", SHAPE_TEXT))
        return 2;
    if (jobs_state_of(lua_tostring(L, -1)) == JOBS_NO_STATE) {
        lua_pushfstring(L, "its State is %s, which Orthanc does not have", said_push(L, -1));
        return response_fail_shape(L, &c->op, lua_tostring(L, -1));
    }
    lua_pop(L, 1);
    return 1;
}

static int job_ask_status(lua_State *L, call *c)
{
    return call_get(L, c, job_on_status, "/jobs/%s", c->poll->job);
}

static int job_l_status(lua_State *L)
{
    lua_settop(L, 1);
    return op_run(L, &job_new_call(L, "status", job_ask_status)->call.op);
}

/* ---- wait: the steps, in order ---- */

static int job_begin_wait(lua_State *L, call *c); /* → job_poll.c */
static int job_on_success(lua_State *L, call *c);
static int job_on_gone(lua_State *L, call *c);
static int job_on_failure(lua_State *L, call *c);

static int job_l_wait(lua_State *L)
{
    job_call *c;
    check_job(L, 1);
    lua_settop(L, 2);
    c = job_new_call(L, "wait", job_begin_wait); /* job options call */
    call_read_wait(L, 2, &c->call, call_wait_rows);
    c->poll.on_success = job_on_success;
    c->poll.on_gone = job_on_gone;
    c->poll.on_failure = job_on_failure;
    return op_run(L, &c->call.op);
}

static int job_begin_wait(lua_State *L, call *c)
{
    return job_poll_begin(L, c, 0);
}

/* Leaves the results to a function of job_outcome.lua. Its second argument describes the job: with the
 * error at index (0 = none), and the job's record where there is one behind the call. The first argument
 * is the client. */
static int job_decide(lua_State *L, const call *c, const char *function, int error)
{
    int first = c->op.index + 1;
    lua_createtable(L, 0, 6);
    if (error) {
        lua_pushvalue(L, error);
        lua_setfield(L, -2, "error");
    }
    if (lua_istable(L, first) && first != error) {
        lua_pushvalue(L, first);
        lua_setfield(L, -2, "record");
    }
    lua_pushstring(L, c->poll->job);
    lua_setfield(L, -2, "id");
    lua_pushstring(L, c->op.name);
    lua_setfield(L, -2, "op");
    if (c->deadline > 0) {
        lua_pushnumber(L, c->deadline);
        lua_setfield(L, -2, "deadline");
    }
    lua_insert(L, first);
    lua_settop(L, first);
    parts_push_function(L, "core.job_outcome", function);
    lua_insert(L, first);
    call_push_client(L, c);
    lua_insert(L, first + 1);
    return OP_CALL;
}

/* Stack: record, result. */
static int job_on_success(lua_State *L, call *c)
{
    return job_decide(L, c, "of_success", 0);
}

/* Stack: nil, error. */
static int job_on_gone(lua_State *L, call *c)
{
    job_poll_set_job(L, c);
    return job_decide(L, c, "of_gone", lua_gettop(L));
}

/* Stack: record, …, nil, error. */
static int job_on_failure(lua_State *L, call *c)
{
    return job_decide(L, c, "of_failure", lua_gettop(L));
}

/* ---- cancel, pause, resume, resubmit ---- */

enum { REFUSED = 400 }; /* HTTP status */

static int job_send_action(lua_State *L, call *c);
static int job_on_action(lua_State *L, call *c);

static int run_action(lua_State *L, const char *action)
{
    job_call *c;
    lua_settop(L, 1);
    c = job_new_call(L, action, job_send_action);
    c->action = action;
    return op_run(L, &c->call.op);
}

static int job_send_action(lua_State *L, call *c)
{
    lua_newtable(L);
    return call_post(L, c, job_on_action, CALL_CHANGE, "/jobs/%s/%s", c->poll->job,
                     ((job_call *)c)->action);
}

/* Orthanc says {} for yes, and refuses with an empty 400 for every reason: nothing is no yes. */
static int job_on_action(lua_State *L, call *c)
{
    if (call_answer_of(L, c, SHAPE_EMPTY_OBJECT) == 1) {
        lua_pushboolean(L, 1);
        return 1;
    }
    if (c->op.transfer.status == REFUSED && c->op.transfer.body_size == 0) {
        call_fail(L, c, "orthanc", "job_state",
                  "the server refuses: it does not know the job, or the job's State does not allow "
                  "this (see job:status())");
        error_set_integer(L, "status", REFUSED);
    }
    job_poll_set_job(L, c);
    return 2;
}

static int job_l_cancel(lua_State *L)
{
    return run_action(L, "cancel");
}

static int job_l_pause(lua_State *L)
{
    return run_action(L, "pause");
}

static int job_l_resume(lua_State *L)
{
    return run_action(L, "resume");
}

static int job_l_resubmit(lua_State *L)
{
    return run_action(L, "resubmit");
}

/* ---- the object ---- */

static const field_row fields[] = { { "ID", "string: its identifier on the server" }, FIELDS_END };
static const object_kind kind = { "job", "a job", fields };

static int job_l_index(lua_State *L)
{
    const job *j = check_job(L, 1);
    if (lua_type(L, 2) == LUA_TSTRING && strcmp(lua_tostring(L, 2), "ID") == 0) {
        lua_pushstring(L, j->id);
        return 1;
    }
    return userdata_method(L);
}

static int job_l_tostring(lua_State *L)
{
    lua_pushfstring(L, "%s %s", JOB_TYPE, check_job(L, 1)->id);
    return 1;
}

static const doc_row methods[] = {
    { .name = "status",
      .function = job_l_status,
      .signature = "job:status() -> table | nil, err",
      .help = "Returns what the server knows about the job. The table has State (Pending, Running, "
              "Success, Failure, Paused, Retry), Type, Progress, ErrorCode, ErrorDetails, Content "
              "and more. Passwords and tokens in it are replaced by \"…\".",
      .example = "local job = orthanc:job(assert(pacs:move(found, { to = \"archive\", Synchronous "
                 "= false })))\n"
                 "print(assert(job:status()).State)" },
    { .name = "wait",
      .function = job_l_wait,
      .signature = "job:wait([options]) -> result | nil, err",
      .help = "Waits until the job has ended. It returns what the operation that started the job "
              "would have returned, each time the same. The success of a transfer that this client "
              "has not started is compared with what has arrived, because the server does not tell "
              "what Permissive hid; where that cannot be asked, err.kind is \"unknown\". "
              "Cancelling the wait leaves the job alone.",
      .options = { { "options", call_wait_rows, NULL } },
      .example = "local job = orthanc:job(assert(pacs:move(found, { Synchronous = false })))\n"
                 "assert(job:wait { wait_timeout = 60, progress = true })" },
    { .name = "cancel",
      .function = job_l_cancel,
      .signature = "job:cancel() -> true | nil, err",
      .help = "Ends the job. A job that is running first finishes the resource that it works on.",
      .example = "local job = orthanc:job(assert(pacs:move(found, { to = \"archive\", Synchronous "
                 "= false })))\n"
                 "print(job:cancel()) -- true, or nil and an error when it has ended before" },
    { .name = "pause",
      .function = job_l_pause,
      .signature = "job:pause() -> true | nil, err",
      .help = "Pauses the job. It first finishes the resource that it works on.",
      .example = "local job = orthanc:job(assert(pacs:move(found, { to = \"archive\", Synchronous "
                 "= false })))\n"
                 "print(job:pause()) -- true, or nil and an error when it has ended before\n"
                 "job:cancel()" },
    { .name = "resume",
      .function = job_l_resume,
      .signature = "job:resume() -> true | nil, err",
      .help = "Lets a paused job go on.",
      .example = "local job = orthanc:job(assert(pacs:move(found, { to = \"archive\", Synchronous "
                 "= false })))\n"
                 "if job:pause() then print(job:resume()) end\n"
                 "job:cancel()" },
    { .name = "resubmit",
      .function = job_l_resubmit,
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
    static const luaL_Reg meta[] = { { "__index", job_l_index },
                                     { "__tostring", job_l_tostring },
                                     { NULL, NULL } };
    lua_newtable(L);
    doc_register(L, lp, methods);
    userdata_open(L, lp, JOB_TYPE, &kind, meta);
    lua_pop(L, 1);
}
