#include "embed/spawned.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "binding/error.h"
#include "embed/called.h"
#include "embed/last_error.h"
#include "embed/runtime.h"
#include "engine/stop.h"
#include "engine/task.h"

enum spawned_state {
    POSTED, /* it waits for a step of a run */
    RUNNING,
    ENDED /* `done` has to be called */
};

struct spawned {
    spawned *next;
    unsigned long id;
    enum spawned_state state;
    bool cancelled; /* modalua_cancel_task has been called, and has not had its effect */
    modalua_spawned_fn done;
    void *user;
    char *function, *json; /* of a call that was posted */
    task *task;
    int ref;          /* registry reference: to the task, and when that has ended, to the text */
    int status;       /* of the outcome */
    const char *text; /* the result or the error as JSON; NULL = there is no result */
};

/* ---- the list ---- */

bool spawned_open(spawned_list *list)
{
    list->open = pthread_mutex_init(&list->lock, NULL) == 0;
    return list->open;
}

void spawned_close(spawned_list *list)
{
    if (list->open)
        pthread_mutex_destroy(&list->lock);
    list->open = false;
}

static char *copy(const char *text)
{
    return text ? strdup(text) : NULL;
}

static void spawned_free(spawned *s)
{
    free(s->function);
    free(s->json);
    free(s);
}

/* NULL: not enough memory. */
static spawned *spawned_new(const char *function, const char *json, modalua_spawned_fn done,
                            void *user)
{
    spawned *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->done = done;
    s->user = user;
    s->ref = LUA_NOREF;
    s->function = copy(function);
    s->json = copy(json);
    if ((function && !s->function) || (json && !s->json)) {
        spawned_free(s);
        return NULL;
    }
    return s;
}

/* Returns the number of the new element; 0: it is refused. */
static unsigned long spawned_append(spawned_list *list, spawned *s)
{
    unsigned long id = 0;
    pthread_mutex_lock(&list->lock);
    if (!list->refuses) {
        id = s->id = ++list->last_id;
        *(list->last ? &list->last->next : &list->first) = s;
        list->last = s;
    }
    pthread_mutex_unlock(&list->lock);
    return id; /* another thread may have removed it meanwhile */
}

/* The first element in that state, or, with `cancelled`, the first that is to be cancelled, which it is
 * no longer then; NULL: there is none. Only the thread that drives the runtime changes
 * a state or removes an element, so that the element stays. */
static spawned *spawned_find(spawned_list *list, enum spawned_state state, bool cancelled)
{
    spawned *s;
    pthread_mutex_lock(&list->lock);
    for (s = list->first; s && (s->state != state || (cancelled && !s->cancelled));)
        s = s->next;
    if (s)
        s->cancelled = s->cancelled && !cancelled;
    pthread_mutex_unlock(&list->lock);
    return s;
}

static void spawned_remove(spawned_list *list, spawned *s)
{
    spawned *before = NULL;
    pthread_mutex_lock(&list->lock);
    for (spawned *at = list->first; at != s; at = at->next)
        before = at;
    *(before ? &before->next : &list->first) = s->next;
    if (list->last == s)
        list->last = before;
    pthread_mutex_unlock(&list->lock);
}

static void set_state(spawned_list *list, spawned *s, enum spawned_state state)
{
    pthread_mutex_lock(&list->lock);
    s->state = state;
    pthread_mutex_unlock(&list->lock);
}

static void spawned_fail(modalua_runtime *rt, spawned *s, int status)
{
    s->status = status;
    s->text = last_error_status_json(status);
    set_state(&rt->spawned, s, ENDED);
}

/* ---- beginning ---- */

/* Whether the run can have one more task. */
static bool has_run(const modalua_runtime *rt)
{
    return rt->root && rt->root->state != TASK_DONE && !rt->spawned.refuses;
}

/* Makes a task of the function and its arguments on the top, a child of the root task, which does not
 * take over its failure. [-(args + 1), +0, m] */
static void make_task(lua_State *L, modalua_runtime *rt, spawned *s, int args)
{
    lua_pushboolean(L, 0);
    s->ref = luaL_ref(L, LUA_REGISTRYINDEX); /* the place; nothing fails when it is filled */
    rt->lp.current = rt->root;
    s->task = task_new(L, &rt->lp, args);
    rt->lp.current = NULL;
    s->task->joined = true;
    lua_rawseti(L, LUA_REGISTRYINDEX, s->ref);
    set_state(&rt->spawned, s, RUNNING);
}

/* The task could not be made. */
static void unmake_task(modalua_runtime *rt, spawned *s)
{
    rt->lp.current = NULL;
    luaL_unref(rt->L, LUA_REGISTRYINDEX, s->ref);
    s->ref = LUA_NOREF;
}

/* A lua_CFunction: the runtime, the element. */
static int begin_posted_p(lua_State *L)
{
    modalua_runtime *rt = lua_touserdata(L, 1);
    spawned *s = lua_touserdata(L, 2);
    lua_pushcfunction(L, called_function);
    lua_pushstring(L, s->function);
    if (s->json)
        lua_pushstring(L, s->json);
    make_task(L, rt, s, s->json ? 2 : 1);
    return 0;
}

static void begin_posted(lua_State *L, modalua_runtime *rt, spawned *s)
{
    lua_pushcfunction(L, begin_posted_p);
    lua_pushlightuserdata(L, rt);
    lua_pushlightuserdata(L, s);
    if (lua_pcall(L, 2, 0, 0) != LUA_OK) {
        lua_pop(L, 1);
        unmake_task(rt, s);
        spawned_fail(rt, s, MODALUA_E_NOMEM);
    }
}

void spawned_begin(lua_State *L, modalua_runtime *rt)
{
    spawned *s;
    while ((s = spawned_find(&rt->spawned, POSTED, true)))
        spawned_fail(rt, s, MODALUA_E_CANCELLED);
    while (has_run(rt) && (s = spawned_find(&rt->spawned, POSTED, false)))
        begin_posted(L, rt, s);
    spawned_cancel(&rt->lp);
}

void spawned_cancel(loop *lp)
{
    modalua_runtime *rt = (modalua_runtime *)lp;
    spawned *s;
    while ((s = spawned_find(&rt->spawned, RUNNING, true)))
        loop_cancel_scope(lp, s->task);
}

/* ---- ending ---- */

static int failed_status(lua_State *L, const task *t, int error)
{
    if (t->lp->stop == LOOP_GO && t->cancelled &&
        (!t->started || error_is_kind(L, error, "cancelled") || stop_is_kill(L, error)))
        return MODALUA_E_CANCELLED;
    return run_failure_status(L, error);
}

/* A lua_CFunction: the element. Its reference becomes that of the text. */
static int take_outcome_p(lua_State *L)
{
    enum { SPAWNED = 1, TASK, ERROR, TRACEBACK };
    spawned *s = lua_touserdata(L, SPAWNED);
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->ref);
    if (s->task->failed) {
        task_push_failure(L, TASK);
        s->status = failed_status(L, s->task, ERROR);
        s->text = last_error_status_json(s->status);
        if (s->status != MODALUA_E_SCRIPT && (s->status != MODALUA_E_NOMEM || !error_is(L, ERROR)))
            return 0;
        stop_restart_burst(s->task->lp);
        last_error_push_json(L, s->status, ERROR, lua_isstring(L, TRACEBACK) ? TRACEBACK : 0);
    } else if (!task_push_result(L, TASK)) {
        return 0;
    }
    s->text = lua_tostring(L, -1);
    lua_rawseti(L, LUA_REGISTRYINDEX, s->ref);
    return 0;
}

static void take_outcome(lua_State *L, modalua_runtime *rt, spawned *s)
{
    lua_pushcfunction(L, take_outcome_p);
    lua_pushlightuserdata(L, s);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
        lua_pop(L, 1);
        if (s->status == MODALUA_OK)
            s->status = MODALUA_E_NOMEM;
        s->text = last_error_status_json(s->status);
    }
    stop_end_burst(&rt->lp);
    set_state(&rt->spawned, s, ENDED);
}

static spawned *find_done(spawned_list *list)
{
    spawned *s;
    pthread_mutex_lock(&list->lock);
    for (s = list->first; s && (s->state != RUNNING || s->task->state != TASK_DONE);)
        s = s->next;
    pthread_mutex_unlock(&list->lock);
    return s;
}

void spawned_collect(lua_State *L, modalua_runtime *rt)
{
    spawned *s;
    while ((s = find_done(&rt->spawned)))
        take_outcome(L, rt, s);
}

void spawned_finish(modalua_runtime *rt)
{
    spawned_collect(rt->L, rt);
}

static void tell(modalua_runtime *rt, spawned *s)
{
    spawned_remove(&rt->spawned, s);
    rt->telling = true;
    if (s->done)
        s->done(s->user, rt, s->id, s->status, s->text);
    rt->telling = false;
    if (s->ref != LUA_NOREF)
        luaL_unref(rt->L, LUA_REGISTRYINDEX, s->ref);
    spawned_free(s);
}

void spawned_tell(modalua_runtime *rt)
{
    spawned *s;
    while ((s = spawned_find(&rt->spawned, ENDED, false)))
        tell(rt, s);
}

void spawned_refuse(modalua_runtime *rt)
{
    pthread_mutex_lock(&rt->spawned.lock);
    rt->spawned.refuses = true;
    pthread_mutex_unlock(&rt->spawned.lock);
}

void spawned_abandon(modalua_runtime *rt)
{
    spawned *s;
    while ((s = spawned_find(&rt->spawned, POSTED, false)))
        spawned_fail(rt, s, MODALUA_E_CANCELLED);
    rt->busy = true; /* `done` can use nothing of the runtime any more */
    spawned_tell(rt);
    rt->busy = false;
}

/* ---- functions of modalua.h ---- */

typedef struct spawn_call {
    protected_call base;
    spawned *made;
} spawn_call;

static int spawn_call_p(lua_State *L)
{
    spawn_call *c = lua_touserdata(L, 1);
    lua_pushcfunction(L, called_function);
    lua_pushstring(L, c->base.name);
    if (c->base.text)
        lua_pushstring(L, c->base.text);
    make_task(L, c->base.rt, c->made, c->base.text ? 2 : 1);
    return 0;
}

static int spawn_string_p(lua_State *L)
{
    spawn_call *c = lua_touserdata(L, 1);
    int loaded;
    lua_pushcfunction(L, called_chunk);
    loaded = luaL_loadbufferx(L, c->base.text, c->base.size, c->base.name, "t");
    if (loaded != LUA_OK) {
        c->base.status = loaded == LUA_ERRMEM ? MODALUA_E_NOMEM : MODALUA_E_SYNTAX;
        if (c->base.status == MODALUA_E_SYNTAX)
            last_error_set_syntax(L, c->base.rt, lua_gettop(L), c->base.text, c->base.size);
        else
            last_error_set(L, c->base.rt, c->base.status, lua_gettop(L), 0);
        return 0;
    }
    make_task(L, c->base.rt, c->made, 1);
    return 0;
}

static int no_run_p(lua_State *L)
{
    protected_call *c = lua_touserdata(L, 1);
    c->status = MODALUA_E_INVALID;
    last_error_set_message(L, c->rt, c->status, "no run is under way");
    return 0;
}

static int spawn(modalua_runtime *rt, lua_CFunction function, spawn_call *c, unsigned long *id)
{
    int status;
    if (rt->busy)
        return MODALUA_E_BUSY;
    if (!has_run(rt))
        return runtime_call(rt, no_run_p, &c->base);
    if (!c->made)
        return MODALUA_E_NOMEM;
    status = runtime_call(rt, function, &c->base);
    if (status != MODALUA_OK) {
        unmake_task(rt, c->made);
        return status;
    }
    if (id)
        *id = spawned_append(&rt->spawned, c->made);
    else
        spawned_append(&rt->spawned, c->made);
    c->made = NULL;
    return MODALUA_OK;
}

/* Calls spawn with a new element, and frees it when it is not used. */
static int spawn_new(modalua_runtime *rt, lua_CFunction function, spawn_call *c,
                     modalua_spawned_fn done, void *user, unsigned long *id)
{
    int status;
    c->made = spawned_new(NULL, NULL, done, user);
    status = spawn(rt, function, c, id);
    if (c->made)
        spawned_free(c->made);
    return status;
}

int modalua_spawn_call(modalua_runtime *rt, const char *function, const char *json_in,
                       modalua_spawned_fn done, void *user, unsigned long *task_out)
{
    spawn_call c = { .base = { .name = function, .text = json_in } };
    if (task_out)
        *task_out = 0;
    return rt && function ? spawn_new(rt, spawn_call_p, &c, done, user, task_out)
                          : last_error_invalid_argument(rt);
}

int modalua_spawn_string(modalua_runtime *rt, const char *name, const char *source, size_t size,
                         modalua_spawned_fn done, void *user, unsigned long *task_out)
{
    spawn_call c = { .base = { .name = name, .text = source, .size = size } };
    if (task_out)
        *task_out = 0;
    return rt && name && (source || size == 0)
               ? spawn_new(rt, spawn_string_p, &c, done, user, task_out)
               : last_error_invalid_argument(rt);
}

int modalua_post(modalua_runtime *rt, const char *function, const char *json_in,
                 modalua_spawned_fn done, void *user, unsigned long *task_out)
{
    spawned *s;
    unsigned long id;
    if (task_out)
        *task_out = 0;
    if (!rt || !function)
        return MODALUA_E_INVALID;
    s = spawned_new(function, json_in, done, user);
    if (!s)
        return MODALUA_E_NOMEM;
    id = spawned_append(&rt->spawned, s);
    if (id == 0) {
        spawned_free(s);
        return MODALUA_E_CANCELLED;
    }
    if (task_out)
        *task_out = id;
    loop_wake(&rt->lp);
    return MODALUA_OK;
}

void modalua_cancel_task(modalua_runtime *rt, unsigned long id)
{
    if (!rt)
        return;
    pthread_mutex_lock(&rt->spawned.lock);
    for (spawned *s = rt->spawned.first; s; s = s->next)
        if (s->id == id && s->state != ENDED)
            s->cancelled = true;
    pthread_mutex_unlock(&rt->spawned.lock);
    loop_request_task_cancels(&rt->lp);
    run_reach_script(rt);
}
