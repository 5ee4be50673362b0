#include "engine/task.h"

#include <lauxlib.h>
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "binding/doc.h"
#include "binding/error.h"
#include "binding/userdata.h"
#include "engine/op.h"
#include "engine/origin.h"
#include "engine/stop.h"

#define TASK_TYPE "modalua.Task"

enum { UV_COROUTINE = 1, UV_ERROR, UV_TRACEBACK, UV_COUNT = UV_TRACEBACK };

/* ---- the list and the tree ---- */

/* Links a new task: it becomes a child of the task that runs. */
static void link_task(loop *lp, task *t)
{
    t->next = lp->tasks;
    if (t->next)
        t->next->prev = t;
    lp->tasks = t;
    lp->live++;
    t->parent = lp->current;
    if (t->parent) {
        t->sibling = t->parent->children;
        if (t->sibling)
            t->sibling->elder = t;
        t->parent->children = t;
        t->parent->live_children++;
        t->cancelled = t->parent->cancelled; /* a cancelled task starts no task that goes on */
        t->kill_due = t->parent->kill_due;
    }
}

static void unlink_live(task *t)
{
    *(t->prev ? &t->prev->next : &t->lp->tasks) = t->next;
    if (t->next)
        t->next->prev = t->prev;
    t->next = t->prev = NULL;
    t->lp->live--;
}

/* Removes a task from its parent's children and from the registry: from now on only the script's
 * references keep it. [-0, +0, -] */
static void leave_parent(lua_State *L, task *t)
{
    if (t->parent) {
        *(t->elder ? &t->elder->sibling : &t->parent->children) = t->sibling;
        if (t->sibling)
            t->sibling->elder = t->elder;
        t->parent = t->sibling = t->elder = NULL;
    }
    luaL_unref(L, LUA_REGISTRYINDEX, t->ref);
    t->ref = LUA_NOREF;
}

/* ---- starting ---- */

/* The message handler of a task: keeps the traceback, which is gone once the stack is unwound. */
static int l_keep_traceback(lua_State *L)
{
    loop *lp = lua_touserdata(L, lua_upvalueindex(1));
    task *t = lp->current;
    if (!t || L != t->co || stop_is_kill(L, 1))
        return 1;
    origin_push_traceback(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, t->ref);
    lua_insert(L, -2);
    lua_setiuservalue(L, -2, UV_TRACEBACK);
    lua_settop(L, 1);
    return 1;
}

task *task_new(lua_State *L, loop *lp, int args)
{
    int function = lua_gettop(L) - args;
    task *t = lua_newuserdatauv(L, sizeof *t, UV_COUNT);
    memset(t, 0, sizeof *t);
    luaL_setmetatable(L, TASK_TYPE);
    t->lp = lp;
    t->ref = LUA_NOREF;
    t->co = lua_newthread(L);
    lua_setiuservalue(L, -2, UV_COROUTINE);
    if (!lua_checkstack(t->co, args + 4))
        luaL_error(L, "too many arguments for a task");
    lua_pushlightuserdata(L, lp);
    lua_pushcclosure(L, l_keep_traceback, 1);
    if (lp->owned)
        stop_mark_task(t->co);
    stop_push_base(t->co);
    lua_xmove(L, t->co, 1);
    lua_insert(L, function); /* task f args... */
    lua_xmove(L, t->co, args + 1);
    lua_pushvalue(L, function);
    t->ref = luaL_ref(L, LUA_REGISTRYINDEX); /* nothing throws after this */
    link_task(lp, t);
    loop_make_ready(lp, t);
    return t;
}

/* ---- ending ---- */

/* Gives the error and the traceback of one task to another one. */
static void copy_failure(lua_State *L, task *from, task *to)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, to->ref);
    lua_rawgeti(L, LUA_REGISTRYINDEX, from->ref);
    for (int i = UV_ERROR; i <= UV_TRACEBACK; i++) {
        lua_getiuservalue(L, -1, i);
        lua_setiuservalue(L, -3, i);
    }
    lua_pop(L, 2);
    to->failed = true;
}

/* The children that are left have failed, and no task has joined them. When the task itself has not
 * failed, it takes over the error of the oldest child. */
static void adopt_failures(lua_State *L, task *t)
{
    task *oldest = t->children;
    while (oldest && oldest->sibling)
        oldest = oldest->sibling;
    if (oldest && !t->failed)
        copy_failure(L, oldest, t);
    while (t->children)
        leave_parent(L, t->children);
}

static void wake_joiners(task *t)
{
    while (t->joiners) {
        op *o = t->joiners;
        t->joiners = o->join.next;
        o->join.target = NULL;
        loop_op_ready(o);
    }
}

/* In a state that is not ours, a task can have no parent that takes over its error. */
static void warn_of_failure(lua_State *L, task *t)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, t->ref);
    lua_getiuservalue(L, -1, UV_ERROR);
    if (lua_istable(L, -1)) {
        lua_pushliteral(L, "message");
        lua_rawget(L, -2);
    } else {
        lua_pushvalue(L, -1);
    }
    lua_warning(L, "modalua: a task failed, and no task joins it: ", 1);
    lua_warning(L, lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : luaL_typename(L, -2), 0);
    lua_pop(L, 3);
}

/* Ends a task. Returns its parent when that has waited for this child alone; else NULL. A failed
 * child stays with its parent until it is joined. */
static task *task_done(lua_State *L, task *t)
{
    task *parent = t->parent;
    adopt_failures(L, t);
    t->state = TASK_DONE;
    unlink_live(t);
    if (t->failed && !t->joined && !t->joiners && !parent && !t->lp->owned)
        warn_of_failure(L, t);
    wake_joiners(t);
    if (!parent || !t->failed || t->joined)
        leave_parent(L, t);
    return parent && --parent->live_children == 0 && parent->state == TASK_CLOSING ? parent : NULL;
}

/* Ends a task without live children, and then its parent when that waited for it alone, and so on.
 * When a task that joins reads the error, it runs before the parent takes that over. */
static void finish(lua_State *L, task *t)
{
    while (t) {
        bool will_be_read = t->failed && t->joiners;
        task *parent = task_done(L, t);
        if (parent && will_be_read) {
            loop_make_ready(parent->lp, parent);
            return;
        }
        t = parent;
    }
}

/* The function of the task has ended. The task waits for its children; they are cancelled first
 * when it has failed or is cancelled. */
static void task_ended(lua_State *L, task *t)
{
    t->state = TASK_CLOSING;
    if (t->lp->external)
        loop_wake(t->lp); /* one of these may wait for something that the task would have done */
    if (t->failed || t->cancelled)
        loop_cancel_task(t->lp, t);
    if (t->live_children == 0)
        finish(L, t);
}

/* Keeps the error on the top, and pops it. A cancelled task that ends with the error "cancelled"
 * has no results, but its parent does not take over that error. [-1, +0, -] */
static void task_fail(lua_State *L, task *t)
{
    t->failed = true;
    if (t->cancelled && (error_is_kind(L, -1, "cancelled") || stop_is_kill(L, -1)))
        t->joined = true;
    lua_rawgeti(L, LUA_REGISTRYINDEX, t->ref);
    lua_insert(L, -2);
    lua_setiuservalue(L, -2, UV_ERROR);
    lua_pop(L, 1);
}

/* ---- running ---- */

/* Ends a task that was cancelled before it started. Its error is made when it is joined, because
 * here there may be no memory for it. */
static void skip(lua_State *L, task *t)
{
    t->cancelled = t->failed = t->joined = true;
    task_ended(L, t);
}

/* Resumes a task: it runs until its next wait. [-0, +0, m] */
static void task_resume(lua_State *L, task *t)
{
    loop *lp = t->lp;
    stop_place before;
    int status, results, args = t->started ? 0 : lua_gettop(t->co) - 1;

    t->started = true;
    lp->current = t;
    before = stop_enter(lp, t->co, true);
    stop_restart_burst(lp);
    status = lua_resume(t->co, L, args, &results);
    stop_leave(lp, before);
    stop_end_burst(lp);
    lp->current = NULL;
    lp->thrown_by_hook = NULL;

    if (status == LUA_YIELD) {
        lua_pop(t->co, results);
        if (!t->waits) /* a plain coroutine.yield(), in a state that is not ours */
            loop_make_ready(lp, t);
        return;
    }
    if (status == LUA_OK)
        t->results = results;
    else {
        lua_xmove(t->co, L, 1);
        task_fail(L, t);
    }
    task_ended(L, t);
}

void task_turn(lua_State *L, loop *lp, double seconds)
{
    task *last, *t = NULL;
    if (loop_is_stuck(lp))
        lua_gc(L, LUA_GCCOLLECT); /* an operation that an error ended may still hold a slot */
    if (loop_is_stuck(lp))
        loop_break_deadlock(lp);
    loop_pump(lp, lp->ready ? 0 : seconds);
    last = lp->ready_tail; /* tasks that become ready from now on wait for the next turn */
    while (t != last && (t = loop_take_ready(lp))) {
        loop_check(lp); /* many tasks, each too short for the hook, can take long together */
        if (t->state == TASK_CLOSING)
            finish(L, t);
        else if (!t->started && (t->cancelled || lp->stop == LOOP_KILL))
            skip(L, t);
        else
            task_resume(L, t);
    }
}

bool task_push_result(lua_State *L, int index)
{
    task *t = lua_touserdata(L, index);
    if (t->results == 0)
        return false;
    if (!lua_checkstack(t->co, 1))
        luaL_error(L, "too many results");
    lua_pushvalue(t->co, 1);
    lua_xmove(t->co, L, 1);
    return true;
}

void task_push_failure(lua_State *L, int index)
{
    index = lua_absindex(L, index);
    lua_getiuservalue(L, index, UV_ERROR);
    lua_getiuservalue(L, index, UV_TRACEBACK);
}

/* Pushes nil and the error of the failed task at index. Its parent does not take over the error any
 * more. [-0, +2, m] */
static int push_error(lua_State *L, int index, task *t)
{
    if (t->ref != LUA_NOREF)
        leave_parent(L, t);
    lua_pushnil(L);
    if (!t->started) {
        error_new(L, "cancelled", NULL, "cancelled");
        return 2;
    }
    lua_getiuservalue(L, index, UV_ERROR);
    if (lua_getiuservalue(L, index, UV_TRACEBACK) == LUA_TSTRING &&
        !error_is_kind(L, -2, "cancelled"))
        origin_remember(L, lua_gettop(L) - 1);
    else
        lua_pop(L, 1);
    return 2;
}

/* Pushes copies of the results of the done task at index, or nil and its error. Returns how many
 * values these are. [-0, +n, m] */
static int push_outcome(lua_State *L, int index)
{
    task *t = lua_touserdata(L, index);
    t->joined = true;
    if (t->failed)
        return push_error(L, index, t);
    luaL_checkstack(L, t->results, "too many results");
    if (!lua_checkstack(t->co, t->results))
        luaL_error(L, "too many results");
    for (int i = 1; i <= t->results; i++)
        lua_pushvalue(t->co, i);
    lua_xmove(t->co, L, t->results);
    return t->results;
}

/* ---- modalua.task ---- */

static task *check_task(lua_State *L, int index)
{
    return luaL_checkudata(L, index, TASK_TYPE);
}

int task_l_spawn(lua_State *L)
{
    loop *lp = doc_loop(L);
    luaL_checktype(L, 1, LUA_TFUNCTION);
    if (lp->owned) {
        stop_pass_on(L, lp); /* a chain of tasks, each too short for the hook, must not go on */
        if (!lp->current)
            return luaL_error(L, "no task can be started here: the run has ended");
    }
    task_new(L, lp, lua_gettop(L) - 1);
    return 1;
}

static int task_join_advance(lua_State *L, op *o)
{
    task *t = lua_touserdata(L, o->index - 1);
    if (t->state != TASK_DONE)
        return op_join(o, t);
    return push_outcome(L, o->index - 1);
}

static int task_l_join(lua_State *L)
{
    loop *lp = doc_loop(L);
    task *t = check_task(L, 1);
    op *o;
    luaL_argcheck(L, t != lp->current, 1, "a task cannot wait for itself");
    lua_settop(L, 1);
    o = op_new(L, lp, sizeof *o, 0, task_join_advance, "join");
    o->turn = task_turn;
    return op_run(L, o);
}

int task_l_can_join(lua_State *L)
{
    const loop *lp = doc_loop(L);
    lua_pushboolean(L, !lp->current || op_can_yield(L, lp));
    return 1;
}

static int task_l_cancel(lua_State *L)
{
    task *t = check_task(L, 1);
    loop_cancel_task(t->lp, t);
    return 0;
}

/* As cancel, but what the task has begun on the server goes on. */
static int task_l_detach(lua_State *L)
{
    task *t = check_task(L, 1);
    loop_detach_task(t);
    loop_cancel_task(t->lp, t);
    return 0;
}

static int task_sleep_advance(lua_State *L, op *o)
{
    if (o->stage++ > 0)
        return 0;
    return op_sleep(L, o, lua_tonumber(L, o->index - 1));
}

int task_l_sleep(lua_State *L)
{
    lua_Number seconds = luaL_checknumber(L, 1);
    luaL_argcheck(L, seconds >= 0 && seconds < HUGE_VAL, 1,
                  "must be a number of seconds, 0 or more");
    lua_settop(L, 1);
    return op_run(L, op_new(L, doc_loop(L), sizeof(op), 0, task_sleep_advance, "sleep"));
}

int task_l_now(lua_State *L)
{
    lua_pushnumber(L, clock_now());
    return 1;
}

static const object_kind kind = { "task", "a task", NULL };

static int task_l_index(lua_State *L)
{
    return userdata_method(L);
}

static int task_l_tostring(lua_State *L)
{
    task *t = check_task(L, 1);
    const char *state = t->state == TASK_LIVE      ? (t->waits     ? "waiting"
                                                      : t->started ? "running"
                                                                   : "ready")
                        : t->state == TASK_CLOSING ? "ending"
                        : t->failed                ? "failed"
                                                   : "done";
    lua_pushfstring(L, "%s %p (%s)", TASK_TYPE, (void *)t, state);
    return 1;
}

static const doc_row methods[] = {
    { .name = "join",
      .function = task_l_join,
      .signature = "task:join() -> ... | nil, err",
      .help = "Waits until the task has ended. Returns what its function returned, or nil and its "
              "error. Several tasks may join the same one.",
      .example = "local t = task.spawn(pacs.echo, pacs)\n"
                 "print(t:join())" },
    { .name = "cancel",
      .function = task_l_cancel,
      .signature = "task:cancel()",
      .help = "Stops the task. An error of kind \"cancelled\" is thrown where it waits, or at its "
              "next operation. The jobs that it has started on the server are cancelled too, as "
              "far as the server can. A task that has ended stays as it is.",
      .example = "local t = task.spawn(task.sleep, 60)\n"
                 "t:cancel()\n"
                 "local done, err = t:join()\n"
                 "print(done, err.kind)" },
    { .name = "detach",
      .function = task_l_detach,
      .signature = "task:detach()",
      .help = "Stops the task; its jobs on the server go on. So do the jobs of the tasks that it "
              "has started. client:jobs() shows them.",
      .example = "local t = task.spawn(pacs.move, pacs, found, { to = \"archive\" })\n"
                 "task.sleep(0.01)\n"
                 "t:detach()\n"
                 "t:join()" },
    { .name = NULL }
};

static const option map_rows[] = {
    { "limit", OPTION_COUNT, 0, "how many calls run at the same time (default: 8)" }, OPTIONS_END
};

static const doc_row functions[] = {
    { .name = "spawn",
      .function = task_l_spawn,
      .signature = "task.spawn(f, ...) -> task",
      .help = "Starts f(...) as a task. It runs when this one waits. A task waits for the tasks "
              "that it has started, and cancels them when it fails. An error of a task that is "
              "never joined becomes the error of the task that called spawn.",
      .example = "for _, name in ipairs(assert(orthanc:modalities())) do\n"
                 "  task.spawn(function() print(name, orthanc:modality(name):echo()) end)\n"
                 "end" },
    { .name = "sleep",
      .function = task_l_sleep,
      .signature = "task.sleep(seconds)",
      .help = "Waits while other tasks run. sleep(0) lets each of them run once.",
      .example = "task.sleep(0.1)" },
    { .name = "now",
      .function = task_l_now,
      .signature = "task.now() -> seconds",
      .help = "Returns seconds of a clock that never goes back. They have fractions. Only the "
              "difference of two values has a meaning.",
      .example = "local began = task.now()\n"
                 "assert(pacs:echo())\n"
                 "print((\"%.1f ms\"):format((task.now() - began) * 1000))" },
    { .name = "map",
      .part = "core.task_combinators",
      .signature = "task.map(list, f [, options]) -> results, errors",
      .help = "Calls f(item, i) for each item, in several tasks. Returns the first result of each "
              "call (results.n is their number), and the errors by the same index, or nil when "
              "there is no error. An error object that f returns or throws is such an error; "
              "anything else that f throws stops all calls, and is thrown.",
      .options = { { "options", map_rows, NULL } },
      .example = "local results, errors = task.map(found.answers, function(study)\n"
                 "  return pacs:move_resources(\"Study\", study, { to = \"archive\" })\n"
                 "end, { limit = 4 })\n"
                 "print(results.n, errors)" },
    { .name = "timeout",
      .part = "core.task_combinators",
      .signature = "task.timeout(seconds, f, ...) -> ... | nil, err",
      .help = "Calls f(...), which must end in time. Then its results are returned. Otherwise f is "
              "cancelled, with its jobs on the server, and the error has the kind \"timeout\".",
      .example = "print(task.timeout(5, pacs.echo, pacs))" },
    { .name = "race",
      .part = "core.task_combinators",
      .signature = "task.race(f, ...) -> ... | nil, err",
      .help = "Calls several functions at the same time. Returns the results of the first one "
              "whose first result is neither nil nor false, and cancels the others. When there is "
              "none, it returns the first failure.",
      .example = "print(task.race(function() return pacs:echo() end, function() return "
                 "archive:echo() end))" },
    { .name = NULL }
};

void task_open(lua_State *L, loop *lp)
{
    static const luaL_Reg meta[] = { { "__index", task_l_index },
                                     { "__tostring", task_l_tostring },
                                     { "__close", task_l_cancel },
                                     { NULL, NULL } };
    lua_newtable(L);
    doc_register(L, lp, methods);
    userdata_open(L, lp, TASK_TYPE, &kind, meta);
    lua_pop(L, 1);
    lua_newtable(L);
    doc_register(L, lp, functions);
}
