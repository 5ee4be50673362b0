#include "embed/stdlib.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "binding/interrupt.h"
#include "embed/coroutines.h"
#include "embed/library.h"
#include "embed/long_calls.h"
#include "embed/require.h"
#include "engine/stop.h"

/* ---- print, warn, os.exit ---- */

/* Calls write or warn. [-0, +0, -] */
static void give_out(const stdlib_output *host, modalua_write_fn callback, const char *text,
                     size_t size)
{
    host_thread_lend(host->thread);
    callback(host->user, text, size);
    host_thread_take_back(host->thread);
}

static int l_print(lua_State *L)
{
    const stdlib_output *host = lua_touserdata(L, lua_upvalueindex(1));
    luaL_Buffer b;
    int n = lua_gettop(L);
    if (!host->write)
        return 0;
    for (int i = 1; i <= n; i++) { /* before the buffer, which uses the top of the stack */
        luaL_tolstring(L, i, NULL);
        lua_replace(L, i);
    }
    luaL_buffinit(L, &b);
    for (int i = 1; i <= n; i++) {
        if (i > 1)
            luaL_addchar(&b, '\t');
        lua_pushvalue(L, i);
        luaL_addvalue(&b);
    }
    luaL_addchar(&b, '\n');
    luaL_pushresult(&b);
    give_out(host, host->write, lua_tostring(L, -1), lua_rawlen(L, -1));
    return 0;
}

/* As in lauxlib.c, but warnings go to the host. They are off until a script calls warn "@on". */
static void on_warning(void *user, const char *message, int to_be_continued)
{
    stdlib_output *host = user;
    bool first = !host->warning_goes_on;
    host->warning_goes_on = to_be_continued != 0;
    if (first && !to_be_continued && message[0] == '@') {
        if (strcmp(message, "@on") == 0)
            host->warnings = true;
        else if (strcmp(message, "@off") == 0)
            host->warnings = false;
        return;
    }
    if (!host->warnings || !host->warn)
        return;
    if (first)
        give_out(host, host->warn, "Lua warning: ", 13);
    give_out(host, host->warn, message, strlen(message));
    if (!to_be_continued)
        give_out(host, host->warn, "\n", 1);
}

/* Ends the run, not the process: everything is unwound, and <close> variables run. */
static int l_exit(lua_State *L)
{
    loop *lp = stop_loop(L);
    stop_pass_on(L, lp); /* the first os.exit counts */
    if (lua_isnoneornil(L, 1) || (lua_isboolean(L, 1) && lua_toboolean(L, 1)))
        lp->exit_code = EXIT_SUCCESS;
    else if (lua_isboolean(L, 1))
        lp->exit_code = EXIT_FAILURE;
    else
        lp->exit_code = (int)luaL_checkinteger(L, 1);
    loop_kill(lp, REASON_EXIT);
    stop_throw_kill(L, lp);
}

/* ---- setmetatable ---- */

/* Lua runs finalizers without hooks, so an endless loop in one could not be stopped. */
static void check_no_finalizer(lua_State *L, int metatable)
{
    if (!lua_istable(L, metatable) || !stop_loop(L)->interruptible)
        return;
    lua_pushliteral(L, "__gc");
    if (lua_rawget(L, metatable) != LUA_TNIL)
        luaL_error(L,
                   "a metatable with __gc is refused: the host could not stop the finalizer; use "
                   "a <close> variable");
    lua_pop(L, 1);
}

static int l_setmetatable(lua_State *L)
{
    int type = lua_type(L, 2);
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_argexpected(L, type == LUA_TNIL || type == LUA_TTABLE, 2, "nil or table");
    if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL)
        return luaL_error(L, "cannot change a protected metatable");
    lua_settop(L, 2);
    check_no_finalizer(L, 2);
    lua_setmetatable(L, 1);
    return 1;
}

/* debug.setmetatable, which ignores __metatable. */
static int l_debug_setmetatable(lua_State *L)
{
    int type = lua_type(L, 2);
    luaL_argexpected(L, type == LUA_TNIL || type == LUA_TTABLE, 2, "nil or table");
    lua_settop(L, 2);
    check_no_finalizer(L, 2);
    lua_setmetatable(L, 1);
    return 1;
}

/* ---- pcall, xpcall ---- */

/* As finishpcall in lbaselib.c, but throws a kill again. The lowest `skip` values on the stack are
 * no results. */
static int finish_pcall(lua_State *L, int status, lua_KContext skip)
{
    if (status != LUA_OK && status != LUA_YIELD) {
        stop_loop(L)->thrown_by_hook = NULL;
        stop_pass_on(L, stop_loop(L));
        stop_look(stop_loop(L)); /* it may have failed late */
        lua_pushboolean(L, 0);
        lua_insert(L, -2);
        return 2;
    }
    return lua_gettop(L) - (int)skip;
}

static int l_pcall(lua_State *L)
{
    luaL_checkany(L, 1);
    lua_pushboolean(L, 1);
    lua_insert(L, 1);
    return finish_pcall(L, lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, 0, finish_pcall), 0);
}

static int l_traceback(lua_State *L);

/* The message handler of an xpcall; upvalue 1 is that of the script. When a hook has thrown the
 * error, Lua runs the handler without hooks, so an endless loop in it could not be stopped: then,
 * and after a kill, the script's handler is not called. */
static int guarded_handler(lua_State *L)
{
    const loop *lp = stop_loop(L);
    if (loop_kills(lp) || (lp->thrown_by_hook && lua_topointer(L, 1) == lp->thrown_by_hook))
        return 1;
    lua_pushvalue(L, lua_upvalueindex(1));
    if (lua_tocfunction(L, -1) == l_traceback) {
        /* Called here, so that the traceback does not show this frame. */
        if (lua_isstring(L, 1))
            luaL_traceback(L, L, lua_tostring(L, 1), 1);
        else
            lua_settop(L, 1);
        return 1;
    }
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, 1);
    return 1;
}

static int l_xpcall(lua_State *L)
{
    int n = lua_gettop(L);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_pushvalue(L, 2);
    lua_pushcclosure(L, guarded_handler, 1);
    lua_replace(L, 2);
    lua_pushboolean(L, 1);
    lua_pushvalue(L, 1);
    lua_rotate(L, 3, 2); /* f handler true f args... */
    return finish_pcall(L, lua_pcallk(L, n - 2, LUA_MULTRET, 2, 2, finish_pcall), 2);
}

/* ---- debug.traceback ---- */

static int l_traceback(lua_State *L)
{
    lua_State *co = lua_isthread(L, 1) ? lua_tothread(L, 1) : L;
    int message = lua_isthread(L, 1) ? 2 : 1;
    const char *text = lua_tostring(L, message);
    if (!text && !lua_isnoneornil(L, message)) {
        lua_pushvalue(L, message);
        return 1;
    }
    if (co != L && coroutines_push_trace(L, co)) {
        lua_pushfstring(L, "%s%s%s", text ? text : "", text ? "\n" : "", lua_tostring(L, -1));
        return 1;
    }
    luaL_traceback(L, co, text, (int)luaL_optinteger(L, message + 1, co == L ? 1 : 0));
    return 1;
}

/* ---- debug.sethook ---- */

/* A state has one hook, and the library needs it to stop a run. */
static int l_no_hook(lua_State *L)
{
    return luaL_error(L, "debug.sethook is refused: the host needs the hook to stop a script");
}

/* ---- registration ---- */

void stdlib_open(lua_State *L, stdlib_output *host)
{
    static const luaL_Reg base[] = { { "setmetatable", l_setmetatable },
                                     { "pcall", l_pcall },
                                     { "xpcall", l_xpcall },
                                     { NULL, NULL } };
    static const luaL_Reg os[] = { { "exit", l_exit }, { NULL, NULL } };
    static const luaL_Reg debug[] = { { "traceback", l_traceback },
                                      { "setmetatable", l_debug_setmetatable },
                                      { NULL, NULL } };
    static const luaL_Reg hook[] = { { "sethook", l_no_hook }, { NULL, NULL } };
    interrupt_set(L, stop_l_check);
    lua_setwarnf(L, on_warning, host);
    lua_pushlightuserdata(L, host);
    lua_pushcclosure(L, l_print, 1);
    lua_setglobal(L, "print");
    library_replace(L, "_G", base);
    library_replace(L, "os", os);
    library_replace(L, "debug", debug);
    if (stop_loop(L)->interruptible)
        library_replace(L, "debug", hook);
    long_calls_open(L);
    coroutines_open(L);
    require_open(L);
}
