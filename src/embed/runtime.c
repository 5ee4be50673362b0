#include "embed/runtime.h"

#include <errno.h>
#include <lauxlib.h>
#include <lualib.h>
#include <stdlib.h>
#include <string.h>

#include "api/native.h"
#include "base/secret.h"
#include "binding/error.h"
#include "binding/parts.h"
#include "embed/c_modules.h"
#include "embed/config.h"
#include "embed/gate.h"
#include "embed/host_functions.h"
#include "embed/kept.h"
#include "embed/last_error.h"
#include "embed/log.h"
#include "embed/module.h"
#include "embed/sandbox.h"
#include "engine/cleanup.h"
#include "engine/op.h"
#include "engine/stop.h"

enum { DEFAULT_GRACE = 5, LOOK_BYTES = 65536, SANDBOX_INFLIGHT = 32 };

/* ---- small functions of modalua.h ---- */

const char *modalua_version(void)
{
    return MODALUA_VERSION;
}

int modalua_version_number(void)
{
    return MODALUA_VERSION_NUMBER;
}

int modalua_exit_code(const modalua_runtime *rt)
{
    return rt ? rt->lp.exit_code : 0;
}

/* ---- entering and leaving ---- */

void runtime_enter(modalua_runtime *rt)
{
    rt->busy = true;
    host_thread_enter(&rt->lp.host);
    atomic_store(&rt->lp.thread, pthread_self());
    atomic_store(&rt->lp.running, rt->L);
}

void runtime_leave(modalua_runtime *rt)
{
    atomic_store(&rt->lp.running, NULL);
    host_thread_leave(&rt->lp.host);
    rt->busy = false;
}

/* A lua_CFunction: an error value, the runtime. */
static int set_last_error_p(lua_State *L)
{
    last_error_set(L, lua_touserdata(L, 2), MODALUA_E_SCRIPT, 1, 0);
    return 0;
}

bool runtime_is_memory_error(lua_State *L, int index)
{
    return error_is_kind(L, index, "limit") ||
           (lua_type(L, index) == LUA_TSTRING &&
            strcmp(lua_tostring(L, index), "not enough memory") == 0);
}

int runtime_protect(modalua_runtime *rt, lua_CFunction function, protected_call *c)
{
    lua_State *L = rt->L;
    int status;
    c->rt = rt;
    c->status = MODALUA_OK;
    lua_pushcfunction(L, function);
    lua_pushlightuserdata(L, c);
    status = lua_pcall(L, 1, 0, 0);
    if (status == LUA_OK)
        return c->status;
    status =
        status == LUA_ERRMEM || runtime_is_memory_error(L, -1) ? MODALUA_E_NOMEM : MODALUA_E_SCRIPT;
    last_error_set_status(rt, status);
    if (status == MODALUA_E_SCRIPT && lua_isstring(L, -1)) {
        lua_pushcfunction(L, set_last_error_p);
        lua_insert(L, -2);
        lua_pushlightuserdata(L, rt);
        lua_pcall(L, 2, 0, 0);
    }
    lua_settop(L, 0);
    return status;
}

int runtime_call(modalua_runtime *rt, lua_CFunction function, protected_call *c)
{
    int status;
    if (rt->busy)
        return MODALUA_E_BUSY;
    runtime_enter(rt);
    status = runtime_protect(rt, function, c);
    runtime_leave(rt);
    return status;
}

void runtime_reset_hook(modalua_runtime *rt)
{
    if (rt->lp.interruptible)
        stop_arm(rt->L);
    else
        lua_sethook(rt->L, NULL, 0, 0);
}

/* ---- the strings of the configuration, which the runtime copies ---- */

/* The i-th of them; NULL: there are no more. The options of the default server are rows of
 * connect_options.def. */
static const char **config_string(modalua_config *c, size_t i)
{
#define STRING_NONE(name)
#define STRING_CONFIG(name) &c->name,
    const char **strings[] = {
#define CONNECT_STRING(name, config, ...) STRING_##config(name)
#include "base/connect_options.def"
        &c->module_path, &c->config_file, &c->profile, &c->servers,
        &c->headers,     &c->default_ca,  &c->unsent,  &c->transport_url
    };
    return i < sizeof strings / sizeof strings[0] ? strings[i] : NULL;
}

static bool copy_strings(modalua_runtime *rt, const modalua_config *from)
{
    const char **field;
    modalua_config source = *from;
    for (size_t i = 0; (field = config_string(&rt->config, i)); i++)
        *field = NULL;
    for (size_t i = 0; (field = config_string(&rt->config, i)); i++) {
        const char *text = *config_string(&source, i);
        char *copy;
        if (!text)
            continue;
        copy = memory_string(&rt->memory, text);
        if (!copy)
            return false;
        *field = copy;
    }
    return true;
}

/* Overwrites them first: some are secrets. */
static void free_strings(modalua_runtime *rt)
{
    const char **field;
    for (size_t i = 0; (field = config_string(&rt->config, i)); i++)
        secret_free(&rt->memory, (char *)*field);
}

/* ---- making the state ---- */

/* Removes relative templates from a path of `package`, which is on the top, unless the user has
 * chosen that path: in the working directory an attacker may have put a file. Puts `prefix` (or
 * NULL) in front. [-0, +0, m] */
static void clean_path(lua_State *L, const char *field, const char *prefix, bool chosen)
{
    const char *at;
    luaL_Buffer b;
    int package = lua_gettop(L);
    lua_getfield(L, package, field);
    at = lua_tostring(L, -1);
    luaL_buffinit(L, &b);
    if (prefix && prefix[0])
        luaL_addstring(&b, prefix);
    while (at && *at) {
        size_t n = strcspn(at, ";");
        if (at[0] == '/' || chosen) {
            if (luaL_bufflen(&b) > 0)
                luaL_addchar(&b, ';');
            luaL_addlstring(&b, at, n);
        }
        at += n + (at[n] == ';');
    }
    luaL_pushresult(&b);
    lua_setfield(L, package, field);
    lua_settop(L, package);
}

/* Fills the new state. */
static int open_state_p(lua_State *L)
{
    const protected_call *c = lua_touserdata(L, 1);
    modalua_runtime *rt = c->rt;
    const module_finder finder = { &rt->lp, rt->config.search, rt->config.user };
    bool environment = (rt->config.flags & MODALUA_ENVIRONMENT) != 0;
    if (!environment) {
        lua_pushboolean(L, 1);
        lua_setfield(L, LUA_REGISTRYINDEX, "LUA_NOENV");
    }
    luaL_openlibs(L);
    c_modules_check(L);
    stdlib_open(L, &rt->host);
    module_preload(L, &rt->lp, &rt->config);
    if (rt->config.follow) {
        host_functions_push_function(L, &rt->lp, "changes", rt->config.follow, rt->config.user);
        native_set_follow(L);
    }
    kept_open(L);
    lua_getglobal(L, "package");
    clean_path(L, "path", rt->config.module_path,
               environment && (getenv("LUA_PATH_5_4") || getenv("LUA_PATH")));
    clean_path(L, "cpath", NULL, environment && (getenv("LUA_CPATH_5_4") || getenv("LUA_CPATH")));
    if (rt->lp.sandboxed) {
        sandbox_enter(L, finder);
        return 0;
    }
    parts_copy_globals(L);
    if (finder.search)
        host_functions_add_searcher(L, finder);
    return 0;
}

static void show_progress(void *user, const char *text, size_t size)
{
    modalua_runtime *rt = user;
    host_thread_lend(&rt->lp.host);
    rt->config.progress(rt->config.user, text, size);
    host_thread_take_back(&rt->lp.host);
}

/* Copies the settings of the configuration to the structs that use them. */
static void apply_settings(modalua_runtime *rt)
{
    const modalua_config *c = &rt->config;
    loop *lp = &rt->lp;
    lp->grace = c->grace_seconds > 0 ? c->grace_seconds : DEFAULT_GRACE;
    lp->burst = c->burst_seconds;
    lp->sandboxed = (c->flags & MODALUA_SANDBOX) != 0;
    lp->interruptible = !(c->flags & MODALUA_NO_HOOK) || c->run_seconds > 0 ||
                        c->burst_seconds > 0 || lp->sandboxed;
    lp->http.max_running =
        c->max_inflight == 0 && lp->sandboxed ? SANDBOX_INFLIGHT : c->max_inflight;
    lp->http.no_global_init = (c->flags & MODALUA_NO_GLOBAL_INIT) != 0;
    log_open(rt);
    gate_open(rt);
    lp->on_task_cancels = spawned_cancel;
    lp->http.transport = c->transport;
    lp->http.transport_url = c->transport_url;
    lp->http.transport_user = c->user;
    if (c->progress) {
        lp->show = show_progress;
        lp->show_user = rt;
    }
    if (c->alloc)
        rt->memory.thread = &lp->host;
    rt->host =
        (stdlib_output){ .thread = &lp->host, .write = c->write, .warn = c->warn, .user = c->user };
}

/* As a lua_Alloc. C functions that take long nearly always allocate. After a refusal Lua collects
 * everything, which takes long, and asks again. */
static void *allocate(void *user, void *block, size_t old_size, size_t new_size)
{
    modalua_runtime *rt = user;
    void *moved = memory_realloc(&rt->memory, block, old_size, new_size);
    rt->allocated += moved || new_size == 0 ? new_size : LOOK_BYTES;
    if (moved && rt->allocated >= LOOK_BYTES) {
        rt->allocated = 0;
        stop_look(&rt->lp);
    }
    return moved;
}

/* Fills the zeroed runtime. After a failure the caller frees it with runtime_free. */
static int build(modalua_runtime *rt, const modalua_config *config)
{
    protected_call c = { 0 };
    int status;
    /* First: until then runtime_free would free the host's own strings. */
    if (!copy_strings(rt, config))
        return MODALUA_E_NOMEM;
    if (!loop_init(&rt->lp, &rt->memory))
        return MODALUA_E_SYSTEM;
    if (!host_thread_open(&rt->lp.host))
        return MODALUA_E_NOMEM;
    if (!spawned_open(&rt->spawned))
        return MODALUA_E_SYSTEM;
    apply_settings(rt);
    rt->L = lua_newstate(allocate, rt);
    if (!rt->L)
        return MODALUA_E_NOMEM;
    stop_install(rt->L, &rt->lp);
    runtime_enter(rt);
    status = runtime_protect(rt, open_state_p, &c);
    runtime_leave(rt);
    return status;
}

/* ---- create and destroy ---- */

int modalua_create(modalua_runtime **out, const modalua_config *config)
{
    modalua_config full;
    modalua_runtime *rt;
    memory account;
    int status, error;

    if (!out)
        return MODALUA_E_INVALID;
    *out = NULL;
    if (config_read(&full, config))
        return MODALUA_E_INVALID;
    memory_init(&account, full.alloc, full.alloc_user, full.memory_limit);
    rt = memory_realloc(&account, NULL, 0, sizeof *rt);
    if (!rt)
        return MODALUA_E_NOMEM;
    memset(rt, 0, sizeof *rt);
    rt->memory = account;
    rt->config = full;
    loop_clear(&rt->lp);
    status = build(rt, &full);
    error = errno;
    if (status == MODALUA_OK)
        *out = rt;
    else
        runtime_free(rt);
    errno = error;
    return status;
}

void runtime_free(modalua_runtime *rt)
{
    memory account;
    if (rt->L) {
        runtime_enter(rt);
        cleanup_abort(rt->L, &rt->lp);
        loop_kill(&rt->lp, REASON_CANCELLED); /* so that no finalizer of a script waits */
        lua_close(rt->L);
        runtime_leave(rt);
    }
    loop_free(&rt->lp);
    spawned_close(&rt->spawned);
    free_strings(rt);
    account = rt->memory;
    account.thread = NULL;
    memory_realloc(&account, rt, sizeof *rt, 0);
}

/* ---- arg ---- */

static int arg_p(lua_State *L)
{
    const protected_call *c = lua_touserdata(L, 1);
    lua_createtable(L, c->argc - c->script, c->script + 1);
    for (int i = 0; i < c->argc; i++) {
        lua_pushstring(L, c->argv[i]);
        lua_rawseti(L, -2, i - c->script);
    }
    lua_setglobal(L, "arg");
    return 0;
}

int modalua_set_arg(modalua_runtime *rt, int argc, const char *const *argv, int script)
{
    protected_call c = { .argc = argc, .argv = argv, .script = script };
    if (!rt || argc < 0 || script < 0 || script > argc || (argc > 0 && !argv))
        return last_error_invalid_argument(rt);
    return runtime_call(rt, arg_p, &c);
}
