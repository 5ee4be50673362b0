/* embed/run.c - the functions of modalua.h that start a run, continue it step by step, end it, and
 * stop it. */
#include <lauxlib.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "binding/error.h"
#include "embed/called.h"
#include "embed/error_place.h"
#include "embed/kept.h"
#include "embed/last_error.h"
#include "embed/spawned.h"
#include "engine/cleanup.h"
#include "engine/op.h"
#include "engine/stop.h"
#include "engine/task.h"

enum {
    DRAIN_SECONDS = 1, /* for detached cleanup requests, after the root task has ended */
    TEXT_SECONDS = 1   /* for the __tostring of the error that the script ended with */
};

/* ---- starting a run ---- */

/* Makes the root task from the function on the top, and from c->argv. load_status is the status of
 * luaL_load…; when it is an error, that error is on the top instead. Returns 0, as the
 * lua_CFunctions that call it do. [-1, +0, v] */
static int begin_run(lua_State *L, protected_call *c, int load_status)
{
    if (load_status != LUA_OK) {
        c->status = load_status == LUA_ERRMEM      ? MODALUA_E_NOMEM
                    : load_status == LUA_ERRSYNTAX ? MODALUA_E_SYNTAX
                                                   : MODALUA_E_FILE;
        if (c->status == MODALUA_E_SYNTAX)
            last_error_set_syntax(L, c->rt, lua_gettop(L), c->text, c->size);
        else
            last_error_set(L, c->rt, c->status, lua_gettop(L), 0);
        return 0;
    }
    luaL_checkstack(L, c->argc + 4, "too many arguments to a script");
    for (int i = 0; i < c->argc; i++)
        lua_pushstring(L, c->argv[i]);
    c->rt->root = task_new(L, &c->rt->lp, c->argc);
    kept_set(L, KEPT_TASK);
    return 0;
}

static int start_string_p(lua_State *L)
{
    protected_call *c = lua_touserdata(L, 1);
    return begin_run(L, c, luaL_loadbufferx(L, c->text, c->size, c->name, "t"));
}

/* Whether reading the file (NULL = standard input) can wait for another process. */
static bool can_block(const char *path)
{
    struct stat what;
    int failed = path ? stat(path, &what) : fstat(STDIN_FILENO, &what);
    return !failed && !S_ISREG(what.st_mode);
}

static int start_file_p(lua_State *L)
{
    protected_call *c = lua_touserdata(L, 1);
    if (!c->may_block && can_block(c->name)) {
        lua_pushfstring(L, "cannot read %s: it is not a regular file, and reading it could block",
                        c->name ? c->name : "stdin");
        return begin_run(L, c, LUA_ERRFILE);
    }
    return begin_run(L, c, luaL_loadfilex(L, c->name, "t"));
}

static int start_call_p(lua_State *L)
{
    protected_call *c = lua_touserdata(L, 1);
    const char *args[2] = { c->name, c->text };
    c->argv = args;
    c->argc = c->text ? 2 : 1;
    lua_pushcfunction(L, called_function);
    return begin_run(L, c, LUA_OK);
}

/* Starts a run; `function` makes its root task. Returns as the public functions below do. */
static int start_run(modalua_runtime *rt, lua_CFunction function, protected_call *c,
                     modalua_done_fn done, void *user)
{
    int status;
    if (rt->busy || rt->root || rt->telling)
        return MODALUA_E_BUSY;
    last_error_clear(rt);
    rt->result = NULL;
    loop_begin(&rt->lp);
    if (rt->config.run_seconds > 0)
        loop_set_deadline(&rt->lp, clock_now() + rt->config.run_seconds);
    rt->lp.exit_code = 0;
    rt->lp.stepped = true;
    rt->drain_end = 0;
    rt->done = done;
    rt->done_user = user;
    rt->is_call = function == start_call_p;
    status = runtime_call(rt, function, c);
    if (status != MODALUA_OK)
        loop_end(&rt->lp);
    return status;
}

int modalua_start_string(modalua_runtime *rt, const char *name, const char *source, size_t size,
                         modalua_done_fn done, void *user)
{
    protected_call c = { .name = name, .text = source, .size = size };
    return rt && name && (source || size == 0) ? start_run(rt, start_string_p, &c, done, user)
                                               : last_error_invalid_argument(rt);
}

static int start_file(modalua_runtime *rt, protected_call *c, modalua_done_fn done, void *user)
{
    return rt && c->argc >= 0 && (c->argc == 0 || c->argv)
               ? start_run(rt, start_file_p, c, done, user)
               : last_error_invalid_argument(rt);
}

int modalua_start_file(modalua_runtime *rt, const char *path, int argc, const char *const *argv,
                       modalua_done_fn done, void *user)
{
    protected_call c = { .name = path, .argc = argc, .argv = argv };
    return start_file(rt, &c, done, user);
}

int modalua_start_call(modalua_runtime *rt, const char *function, const char *json_in,
                       modalua_done_fn done, void *user)
{
    protected_call c = { .name = function, .text = json_in };
    return rt && function ? start_run(rt, start_call_p, &c, done, user)
                          : last_error_invalid_argument(rt);
}

/* ---- ending a run ---- */

int run_failure_status(lua_State *L, int index)
{
    const loop *lp = stop_loop(L);
    if (lp->stop == LOOP_KILL)
        return lp->reason == REASON_EXIT        ? MODALUA_EXIT
               : lp->reason == REASON_CANCELLED ? MODALUA_E_CANCELLED
                                                : MODALUA_E_LIMIT;
    if (lp->stop == LOOP_CANCEL)
        return MODALUA_E_CANCELLED;
    return runtime_is_memory_error(L, index) ? MODALUA_E_NOMEM : MODALUA_E_SCRIPT;
}

/* Pushes an error object: which time limit has ended the run, and where the script was. [-0, +1, m] */
static void push_limit_error(lua_State *L, const modalua_runtime *rt)
{
    if (rt->lp.reason == REASON_LUA_TIME)
        error_new(L, "limit", NULL, "the script ran for more than %f s without a wait",
                  (double)rt->config.burst_seconds);
    else
        error_new(L, "limit", NULL, "the run took longer than %f s",
                  (double)rt->config.run_seconds);
    error_set(L, "where", rt->lp.kill_place[0] ? rt->lp.kill_place : NULL);
}

/* The index of the traceback, when it has a line of Lua code; else 0. It would say nothing. */
static int useful_traceback(lua_State *L, int traceback)
{
    return lua_isstring(L, traceback) && error_place_has_line(lua_tostring(L, traceback))
               ? traceback
               : 0;
}

/* Sets c->status and the last error to how the root task has ended. */
static int read_outcome_p(lua_State *L)
{
    enum { ROOT = 2, ERROR, TRACEBACK };
    protected_call *c = lua_touserdata(L, 1);
    modalua_runtime *rt = c->rt;
    kept_push(L, KEPT_TASK);
    if (!rt->root->failed && rt->lp.stop == LOOP_GO) {
        if (rt->is_call && task_push_result(L, ROOT))
            rt->result = kept_set(L, KEPT_RESULT);
        return 0;
    }
    task_push_failure(L, ROOT);
    c->status = run_failure_status(L, ERROR);
    last_error_set_status(rt, c->status);
    if (c->status == MODALUA_E_SCRIPT || (c->status == MODALUA_E_NOMEM && error_is(L, ERROR))) {
        stop_restart_burst(&rt->lp);
        loop_set_deadline(&rt->lp, clock_now() + TEXT_SECONDS);
        last_error_set(L, rt, c->status, ERROR, useful_traceback(L, TRACEBACK));
    } else if (c->status == MODALUA_E_LIMIT) {
        push_limit_error(L, rt);
        last_error_set(L, rt, c->status, lua_gettop(L), 0);
    }
    return 0;
}

/* Ends the run. Returns its status. */
static int end_run(modalua_runtime *rt)
{
    protected_call c = { 0 };
    int status = runtime_protect(rt, read_outcome_p, &c);
    if (c.status < 0) {
        if (status != c.status &&
            status == MODALUA_E_NOMEM) /* the outcome is known, but not its text */
            last_error_set_status(rt, c.status);
        status = c.status;
    }
    kept_clear(rt->L, KEPT_TASK);
    rt->root = NULL;
    if (status != MODALUA_OK)
        rt->result = NULL; /* another task has failed after the function had returned */
    loop_end(&rt->lp);
    loop_forget_sticky(&rt->lp);
    runtime_reset_hook(rt);
    return status;
}

/* ---- steps ---- */

/* After the root task has ended: whether detached cleanup requests are under way, and still have
 * time. */
static bool is_draining(modalua_runtime *rt)
{
    const loop *lp = &rt->lp;
    if (rt->drain_end == 0) {
        rt->drain_end = clock_now() + DRAIN_SECONDS;
        loop_clear_deadline(&rt->lp); /* the script has kept its time limit */
    }
    return cleanup_collect(rt->L, &rt->lp) &&
           (lp->stop != LOOP_KILL || lp->reason != REASON_CANCELLED) && clock_now() < rt->drain_end;
}

static int step_p(lua_State *L)
{
    protected_call *c = lua_touserdata(L, 1);
    modalua_runtime *rt = c->rt;
    if (rt->root->state != TASK_DONE) {
        spawned_begin(L, rt);
        task_turn(L, &rt->lp, c->seconds);
        cleanup_collect(L, &rt->lp);
        spawned_collect(L, rt);
        spawned_begin(L, rt);
    } else {
        loop_pump(&rt->lp,
                  c->seconds < 0 || c->seconds > DRAIN_SECONDS ? DRAIN_SECONDS : c->seconds);
    }
    return 0;
}

/* Continues the run under way. Returns MODALUA_WORKING, or the status of its end. */
static int step_run(modalua_runtime *rt, double seconds)
{
    protected_call c = { .seconds = seconds };
    if (runtime_protect(rt, step_p, &c) < 0) {
        loop_kill(&rt->lp, REASON_CANCELLED);
        return MODALUA_WORKING;
    }
    if (rt->root->state != TASK_DONE || is_draining(rt))
        return MODALUA_WORKING;
    cleanup_leave(&rt->lp);
    spawned_finish(rt);
    return end_run(rt);
}

int modalua_step(modalua_runtime *rt, int max_wait_ms)
{
    modalua_done_fn done;
    void *user;
    int status;
    if (!rt)
        return MODALUA_E_INVALID;
    if (rt->busy || rt->telling)
        return MODALUA_E_BUSY;
    if (!rt->root)
        return MODALUA_OK;
    done = rt->done;
    user = rt->done_user;
    runtime_enter(rt);
    status = step_run(rt, max_wait_ms < 0 ? -1 : max_wait_ms / 1000.0);
    runtime_leave(rt);
    spawned_tell(rt);
    if (status != MODALUA_WORKING && done)
        done(user, rt, status); /* rt is not used from here on: done may have destroyed it */
    return status;
}

int modalua_fds(modalua_runtime *rt, struct pollfd *fds, int count, int *timeout_ms)
{
    if (timeout_ms)
        *timeout_ms = -1;
    if (!rt || !timeout_ms || count < 0 || (count > 0 && !fds))
        return last_error_invalid_argument(rt);
    if (rt->busy)
        return MODALUA_E_BUSY;
    return rt->root ? loop_fds(&rt->lp, fds, count, timeout_ms) : 0;
}

/* ---- the functions that block until the end of a run ---- */

/* `status` is that of modalua_start_…. */
static int run_to_end(modalua_runtime *rt, int status)
{
    if (status != MODALUA_OK)
        return status;
    rt->lp.stepped = false;
    do
        status = modalua_step(rt, -1);
    while (status == MODALUA_WORKING);
    return status;
}

int modalua_run_string(modalua_runtime *rt, const char *name, const char *source, size_t size)
{
    return run_to_end(rt, modalua_start_string(rt, name, source, size, NULL, NULL));
}

int modalua_run_file(modalua_runtime *rt, const char *path, int argc, const char *const *argv)
{
    protected_call c = { .name = path, .argc = argc, .argv = argv, .may_block = true };
    return run_to_end(rt, start_file(rt, &c, NULL, NULL));
}

int modalua_call(modalua_runtime *rt, const char *function, const char *json_in,
                 const char **json_out)
{
    int status = run_to_end(rt, modalua_start_call(rt, function, json_in, NULL, NULL));
    if (json_out)
        *json_out = status == MODALUA_OK ? modalua_result(rt) : NULL;
    return status;
}

const char *modalua_result(const modalua_runtime *rt)
{
    return rt && !rt->root ? rt->result : NULL;
}

/* ---- stopping ---- */

void run_reach_script(modalua_runtime *rt)
{
    struct lua_State *running = atomic_load(&rt->lp.running);
    if (running && pthread_equal(atomic_load(&rt->lp.thread), pthread_self()))
        stop_arm(running); /* no race: this is a signal handler or a callback on its thread */
}

void modalua_cancel(modalua_runtime *rt)
{
    if (!rt)
        return;
    loop_cancel(&rt->lp);
    run_reach_script(rt);
}

void modalua_cancel_sticky(modalua_runtime *rt)
{
    if (!rt)
        return;
    loop_cancel_sticky(&rt->lp);
    run_reach_script(rt);
}

double modalua_overdue(const modalua_runtime *rt)
{
    return rt ? loop_overdue(&rt->lp) : -HUGE_VAL;
}

int modalua_transfers(const modalua_runtime *rt)
{
    int count = 0;
    if (rt && rt->root)
        for (const task *t = rt->lp.tasks; t; t = t->next)
            count += t->waits && t->waits->is_transfer;
    return count;
}

/* A task that waits for another one waits for no operation. */
int modalua_waiting(const modalua_runtime *rt, const char **name)
{
    const op *oldest = NULL; /* the newest task is the first one of the list */
    int count = 0;
    if (rt && rt->root)
        for (const task *t = rt->lp.tasks; t; t = t->next)
            if (t->waits && !t->waits->join.target) {
                oldest = t->waits;
                count++;
            }
    if (name)
        *name = oldest ? oldest->name : NULL;
    return count;
}

void modalua_detach(modalua_runtime *rt)
{
    if (!rt || rt->busy || !rt->root)
        return;
    loop_detach_task(rt->root);
    loop_cancel(&rt->lp);
}

void modalua_destroy(modalua_runtime *rt)
{
    if (!rt || rt->busy || rt->telling) /* a callback calls it: the runtime is in use below */
        return;
    rt->done = NULL;
    spawned_refuse(rt);
    if (rt->root)
        loop_kill(&rt->lp, REASON_CANCELLED);
    while (rt->root)
        modalua_step(rt, 0);
    spawned_abandon(rt);
    runtime_free(rt);
}
