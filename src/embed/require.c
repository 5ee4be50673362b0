#include "embed/require.h"

#include <lauxlib.h>
#include <string.h>

#include "binding/error.h"
#include "engine/stop.h"
#include "engine/task.h"

#define LOAD_TYPE "modalua.load"

/* Its address is the place in the registry of a table: the name of a module -> its `load`. */
static const char loads_key;

/* ---- modules that are being loaded ---- */

/* A userdata, which is closed when the load is over. Its user values are the module's name, and the task,
 * which it keeps alive. */
typedef struct load {
    loop *lp;
    const task *by; /* the task that loads it; NULL: none */
    bool over;
    bool awaited; /* an operation waits for it */
} load;

/* An operation that waits for the end of a load. */
typedef struct load_wait {
    op base;
    load *load; /* kept alive by the user value UV_LOAD */
} load_wait;

enum { UV_LOAD = 1, UV_FUNCTION, UV_COUNT = UV_FUNCTION };
enum { UV_NAME = 1, UV_TASK, UV_LOAD_COUNT = UV_TASK };

static int load_l_close(lua_State *L)
{
    load *l = lua_touserdata(L, 1);
    l->over = true;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &loads_key);
    lua_getiuservalue(L, 1, UV_NAME);
    lua_pushvalue(L, -1);
    if (lua_rawget(L, -3) == LUA_TUSERDATA && lua_touserdata(L, -1) == l) {
        lua_pushvalue(L, -2);
        lua_pushnil(L);
        lua_rawset(L, -5);
    }
    if (l->awaited)
        loop_wake(l->lp);
    return 0;
}

void require_begin(lua_State *L)
{
    loop *lp = stop_loop(L);
    load *l = lua_newuserdatauv(L, sizeof *l, UV_LOAD_COUNT);
    memset(l, 0, sizeof *l);
    l->lp = lp;
    l->by = lp->current;
    if (luaL_newmetatable(L, LOAD_TYPE)) {
        lua_pushcfunction(L, load_l_close);
        lua_setfield(L, -2, "__close");
    }
    lua_setmetatable(L, -2);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, UV_NAME);
    if (l->by)
        lua_rawgeti(L, LUA_REGISTRYINDEX, l->by->ref);
    else
        lua_pushnil(L);
    lua_setiuservalue(L, -2, UV_TASK);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &loads_key);
    lua_pushvalue(L, 1);
    lua_pushvalue(L, -3);
    lua_rawset(L, -3);
    lua_pop(L, 1);
    lua_toclose(L, -1);
}

static int load_wait_advance(lua_State *L, op *o);

/* The task that the task waits for, by a join or for a module; NULL: none. */
static const task *awaited_task(const task *t)
{
    const op *o = t->waits;
    if (!o)
        return NULL;
    return o->advance == load_wait_advance ? ((const load_wait *)o)->load->by : o->join.target;
}

/* Whether the load can only end after the running task has gone on: modules that require one another.
 * Tasks that wait for each other are walked through once. */
static bool needs_running_task(const load *l)
{
    const task *t = l->by;
    for (unsigned left = l->lp->live; t && t != l->lp->current && left > 0; left--)
        t = awaited_task(t);
    return t && t == l->lp->current;
}

/* The module has called coroutine.yield, and the task has ended without going on with it. */
static bool is_abandoned(const load *l)
{
    return l->by && l->by->state != TASK_LIVE;
}

static bool load_is_over(const op *o)
{
    const load *l = ((const load_wait *)o)->load;
    return l->over || is_abandoned(l);
}

/* An op_advance_fn. Calls the function that requires the module again: the load may have failed. */
static int load_wait_advance(lua_State *L, op *o)
{
    if (!load_is_over(o)) {
        loop_wait_external(o,
                           load_is_over); /* load_l_close, or the end of the task, wakes the loop */
        return OP_WAIT;
    }
    lua_getiuservalue(L, o->index, UV_FUNCTION);
    lua_pushvalue(L, 1);
    return OP_CALL;
}

/* Pushes the function that runs. [-0, +1, m] */
static void push_running(lua_State *L)
{
    lua_Debug ar;
    lua_getstack(L, 0, &ar);
    lua_getinfo(L, "f", &ar);
}

op *require_wait(lua_State *L)
{
    loop *lp = stop_loop(L);
    int top = lua_gettop(L);
    load_wait *w;
    load *l;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &loads_key);
    lua_pushvalue(L, 1);
    lua_rawget(L, -2);
    l = lua_touserdata(L, -1);
    if (l && is_abandoned(l))
        l = NULL;
    if (l &&
        needs_running_task(l)) /* without this, loads that wait would be nested without an end */
        error_usage(L, "module '%s' requires itself, perhaps through other modules",
                    lua_tostring(L, 1));
    if (!l || !op_can_yield(L, lp)) {
        lua_settop(L, top);
        return NULL;
    }
    w = (load_wait *)op_new(L, lp, sizeof *w, UV_COUNT, load_wait_advance, "require");
    w->load = l;
    l->awaited = true;
    lua_pushvalue(L, -2);
    lua_setiuservalue(L, -2, UV_LOAD);
    push_running(L);
    lua_setiuservalue(L, -2, UV_FUNCTION);
    return &w->base;
}

/* ---- require ---- */

/* The stack of `require`; the results of a searcher or of a loader are above. Upvalue 1 is `package`. */
enum { NAME = 1, LOADED, LOAD, SEARCHERS, MESSAGE };

/* A lua_KFunction: the loader has returned. Below its result is the loader's data. */
static int loaded_k(lua_State *L, int status, lua_KContext context)
{
    const char *name = lua_tostring(L, NAME);
    (void)status;
    (void)context;
    if (!lua_isnil(L, -1))
        lua_setfield(L, LOADED, name);
    else
        lua_pop(L, 1);
    if (lua_getfield(L, LOADED, name) == LUA_TNIL) { /* the module has set no value */
        lua_pop(L, 1);
        lua_pushboolean(L, 1);
        lua_pushvalue(L, -1);
        lua_setfield(L, LOADED, name);
    }
    lua_rotate(L, -2, 1);
    return 2;
}

/* Calls the loader, which is below its data. */
static int call_loader(lua_State *L)
{
    lua_rotate(L, -2, 1);
    lua_pushvalue(L, NAME);
    lua_pushvalue(L, -3); /* data loader name data */
    lua_callk(L, 2, 1, 0, loaded_k);
    return loaded_k(L, LUA_OK, 0);
}

/* Adds the message of a searcher, which is on the top. */
static void add_message(lua_State *L)
{
    lua_pushfstring(L, "%s\n\t%s", lua_tostring(L, MESSAGE), lua_tostring(L, -1));
    lua_replace(L, MESSAGE);
}

/* A lua_KFunction: the searcher with that number has returned two values. Calls the next ones. */
static int searched_k(lua_State *L, int status, lua_KContext number)
{
    (void)status;
    while (!lua_isfunction(L, -2)) {
        lua_pop(L, 1);
        if (lua_isstring(L, -1))
            add_message(L);
        lua_settop(L, MESSAGE);
        number++;
        if (lua_rawgeti(L, SEARCHERS, (lua_Integer)number) == LUA_TNIL)
            return luaL_error(L, "module '%s' not found:%s", lua_tostring(L, NAME),
                              lua_tostring(L, MESSAGE));
        lua_pushvalue(L, NAME);
        lua_callk(L, 1, 2, number, searched_k);
    }
    return call_loader(L);
}

static int l_require(lua_State *L)
{
    const char *name = luaL_checkstring(L, NAME);
    op *wait;
    lua_settop(L, NAME);
    lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_getfield(L, LOADED, name);
    if (lua_toboolean(L, -1))
        return 1;
    lua_settop(L, LOADED);
    wait = require_wait(L);
    if (wait)
        return op_run(L, wait);
    require_begin(L);
    if (lua_getfield(L, lua_upvalueindex(1), "searchers") != LUA_TTABLE)
        return luaL_error(L, "'package.searchers' must be a table");
    lua_pushliteral(L, "");
    lua_pushnil(L); /* as if a searcher had returned nothing */
    lua_pushnil(L);
    return searched_k(L, LUA_OK, 0);
}

void require_open(lua_State *L)
{
    lua_newtable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &loads_key);
    lua_getglobal(L, "package");
    lua_pushcclosure(L, l_require, 1);
    lua_setglobal(L, "require");
}
