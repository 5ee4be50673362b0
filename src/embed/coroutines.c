#include "embed/coroutines.h"

#include <lauxlib.h>
#include <string.h>

#include "binding/userdata.h"
#include "embed/library.h"
#include "engine/stop.h"
#include "engine/task.h"

/* Its address is the key in the registry of a table with weak keys: from a coroutine that has ended
 * in an error to the traceback of that error. */
static const char traces_key;

/* ---- create, resume, wrap ---- */

static lua_State *check_coroutine(lua_State *L)
{
    lua_State *co = lua_tothread(L, 1);
    luaL_argexpected(L, co, 1, "coroutine");
    return co;
}

/* The message handler of every coroutine: keeps the traceback. When debug.traceback(co) is called,
 * the stack has been unwound. */
static int keep_trace(lua_State *L)
{
    if (loop_kills(stop_loop(L)))
        return 1;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &traces_key);
    lua_pushthread(L);
    luaL_traceback(L, L, NULL, 1);
    lua_rawset(L, -3);
    lua_settop(L, 1);
    return 1;
}

static int l_create(lua_State *L)
{
    lua_State *co;
    luaL_checktype(L, 1, LUA_TFUNCTION);
    co = lua_newthread(L);
    stop_push_base(co);
    lua_pushcfunction(co, keep_trace);
    lua_pushvalue(L, 1);
    lua_xmove(L, co, 1);
    return 1;
}

/* What go_on returns instead of a number of results. */
enum {
    FAILED = -1, /* the error is on the top */
    WAITS = -2   /* an operation in the coroutine waits: the task has to be suspended */
};

static int resume_error(lua_State *L, const char *message)
{
    lua_pushstring(L, message);
    return FAILED;
}

/* Whether it is the coroutine of a task, or waits in an operation of one. */
static bool is_in_task(lua_State *co)
{
    return stop_is_task(co) || stop_is_waiting(co);
}

/* Why the coroutine cannot be resumed; NULL: it can. */
static const char *resume_fault(lua_State *co)
{
    lua_Debug ar;
    int status = lua_status(co);
    if (is_in_task(co)) /* only the loop resumes it */
        return "cannot resume non-suspended coroutine";
    if (status == LUA_YIELD)
        return NULL;
    if (status == LUA_OK && lua_getstack(co, 0, &ar))
        return "cannot resume non-suspended coroutine";
    return status == LUA_OK && lua_gettop(co) > 0 ? NULL : "cannot resume dead coroutine";
}

/* lua_resetthread, but throws a kill of a <close> variable again. Leaves an error on co's stack. */
static int reset_coroutine(lua_State *L, lua_State *co)
{
    loop *lp = stop_loop(L);
    stop_place before = stop_enter(lp, co, false);
    int status = lua_resetthread(co);
    stop_leave(lp, before);
    stop_pass_on(L, lp);
    return status;
}

/* Whether the coroutine, which has yielded, has done so in an operation. Only the operation in which
 * a task has yielded is the one that the running task waits for. */
static bool yielded_in_operation(const loop *lp)
{
    return lp->current && lp->current->waits;
}

/* Resumes the coroutine with the `args` values on its top. Pushes its results, and returns their
 * number; or pushes an error, and returns FAILED; or returns WAITS. */
static int go_on(lua_State *L, lua_State *co, int args)
{
    loop *lp = stop_loop(L);
    stop_place before = stop_enter(lp, co, op_can_yield(L, lp));
    int results, status = lua_resume(co, L, args, &results);
    stop_leave(lp, before);
    if (status == LUA_YIELD && yielded_in_operation(lp)) {
        stop_mark_waiting(co, true);
        return WAITS;
    }
    if (status != LUA_YIELD)
        stop_look(lp); /* its last call may have been long */
    if (status != LUA_OK && status != LUA_YIELD) {
        lp->thrown_by_hook = NULL;
        stop_pass_on(L, lp);
        lua_xmove(co, L, 1);
        return FAILED;
    }
    if (!lua_checkstack(L, results + 1)) {
        lua_pop(co, results);
        return resume_error(L, "too many results to resume");
    }
    lua_xmove(co, L, results);
    return results;
}

/* Moves the `args` values on the top into the coroutine, and does the same. */
static int resume(lua_State *L, lua_State *co, int args)
{
    const char *fault = resume_fault(co);
    if (fault)
        return resume_error(L, fault);
    if (!lua_checkstack(co, args))
        return resume_error(L, "too many arguments to resume");
    lua_xmove(L, co, args);
    if (lua_status(co) == LUA_OK)
        args = lua_gettop(co) - 1; /* the arguments of the base frame: handler, function, … */
    return go_on(L, co, args);
}

/* The task goes on, and with it the coroutine that waits in an operation. */
static int resume_waiting(lua_State *L, lua_State *co)
{
    stop_mark_waiting(co, false);
    return go_on(L, co, 0);
}

static int resume_k(lua_State *L, int status, lua_KContext context);

/* Returns from coroutine.resume. */
static int finish_resume(lua_State *L, int results)
{
    if (results == WAITS)
        return lua_yieldk(L, 0, 0, resume_k);
    lua_pushboolean(L, results >= 0);
    if (results < 0)
        results = 1;
    lua_insert(L, -(results + 1));
    return results + 1;
}

static int resume_k(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    (void)context;
    return finish_resume(L, resume_waiting(L, lua_tothread(L, 1)));
}

static int l_resume(lua_State *L)
{
    lua_State *co = check_coroutine(L);
    return finish_resume(L, resume(L, co, lua_gettop(L) - 1));
}

/* Throws the error of a wrapped coroutine, which is on the top. */
static int throw_wrapped(lua_State *L, lua_State *co)
{
    int status = lua_status(co);
    if (status != LUA_OK && status != LUA_YIELD) {
        if (reset_coroutine(L, co) != LUA_OK) /* a <close> variable has thrown another error */
            lua_xmove(co, L, 1);
    }
    if (status != LUA_ERRMEM && lua_type(L, -1) == LUA_TSTRING) {
        luaL_where(L, 1);
        lua_insert(L, -2);
        lua_concat(L, 2);
    }
    return lua_error(L);
}

static int wrapped_k(lua_State *L, int status, lua_KContext context);

/* Returns from the function that coroutine.wrap has returned. */
static int finish_wrapped(lua_State *L, lua_State *co, int results)
{
    if (results == WAITS)
        return lua_yieldk(L, 0, 0, wrapped_k);
    return results >= 0 ? results : throw_wrapped(L, co);
}

static int wrapped_k(lua_State *L, int status, lua_KContext context)
{
    lua_State *co = lua_tothread(L, lua_upvalueindex(1));
    (void)status;
    (void)context;
    return finish_wrapped(L, co, resume_waiting(L, co));
}

/* The function that coroutine.wrap returns. */
static int call_wrapped(lua_State *L)
{
    lua_State *co = lua_tothread(L, lua_upvalueindex(1));
    return finish_wrapped(L, co, resume(L, co, lua_gettop(L)));
}

static int l_wrap(lua_State *L)
{
    l_create(L);
    lua_pushcclosure(L, call_wrapped, 1);
    return 1;
}

static int l_yield(lua_State *L)
{
    if (stop_is_task(L))
        return luaL_error(L, "attempt to yield from outside a coroutine");
    return lua_yield(L, lua_gettop(L));
}

static int l_isyieldable(lua_State *L)
{
    lua_State *co = lua_isthread(L, 1) ? lua_tothread(L, 1) : L;
    lua_pushboolean(L, lua_isyieldable(co) && !stop_is_task(co));
    return 1;
}

static int l_running(lua_State *L)
{
    int is_main = lua_pushthread(L);
    lua_pushboolean(L, is_main || stop_is_task(L));
    return 2;
}

static int l_status(lua_State *L)
{
    lua_State *co = check_coroutine(L);
    lua_Debug ar;
    int status = lua_status(co);
    bool started = lua_getstack(co, 0, &ar);
    if (co == L)
        lua_pushliteral(L, "running");
    else if ((status == LUA_OK && started) || (status == LUA_YIELD && is_in_task(co)))
        lua_pushliteral(L, "normal");
    else if (status == LUA_YIELD || (status == LUA_OK && lua_gettop(co) > 0))
        lua_pushliteral(L, "suspended");
    else
        lua_pushliteral(L, "dead");
    return 1;
}

static int l_close(lua_State *L)
{
    lua_State *co = check_coroutine(L);
    lua_Debug ar;
    int status = lua_status(co);
    if (co == L || is_in_task(co) || (status == LUA_OK && lua_getstack(co, 0, &ar)))
        return luaL_error(L, "cannot close a %s coroutine", co == L ? "running" : "normal");
    status = reset_coroutine(L, co);
    lua_pushboolean(L, status == LUA_OK);
    if (status == LUA_OK)
        return 1;
    lua_xmove(co, L, 1);
    return 2;
}

/* ---- tracebacks ---- */

bool coroutines_push_trace(lua_State *L, lua_State *co)
{
    const char *trace, *last;
    int status = lua_status(co);
    if (status == LUA_OK || status == LUA_YIELD)
        return false;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &traces_key);
    lua_pushvalue(L, 1);
    if (lua_rawget(L, -2) != LUA_TSTRING)
        return false;
    trace = lua_tostring(L, -1);
    last = strrchr(trace, '\n');
    lua_pushlstring(L, trace, last ? (size_t)(last - trace) : strlen(trace));
    return true;
}

/* ---- registration ---- */

void coroutines_open(lua_State *L)
{
    static const luaL_Reg functions[] = { { "create", l_create },
                                          { "wrap", l_wrap },
                                          { "resume", l_resume },
                                          { "yield", l_yield },
                                          { "isyieldable", l_isyieldable },
                                          { "running", l_running },
                                          { "status", l_status },
                                          { "close", l_close },
                                          { NULL, NULL } };
    library_replace(L, "coroutine", functions);
    userdata_push_weak_table(L, "k");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &traces_key);
}
