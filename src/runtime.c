#include "runtime.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdlib.h>
#include <string.h>

#include "lbase.h"
#include "lerror.h"
#include "lua_limits.h"
#include "ljson.h"
#include "lmodule.h"
#include "op.h"
#include "task.h"

enum { DEFAULT_GRACE = 5, DRAIN_SECONDS = 1 };

/* Their addresses name what a runtime keeps in the registry. */
static const char root_key, error_key, json_key;

/* ---- small services ---- */

const char *modalua_version(void)
{
    return MODALUA_VERSION;
}

const char *modalua_strerror(int status)
{
    switch (status) {
    case MODALUA_OK: return "no error";
    case MODALUA_WORKING: return "the run goes on";
    case MODALUA_E_NOMEM: return "not enough memory";
    case MODALUA_E_SYNTAX: return "the script does not compile";
    case MODALUA_E_SCRIPT: return "the script ended in an error";
    case MODALUA_E_FILE: return "the script cannot be read";
    case MODALUA_E_BUSY: return "a run is under way";
    case MODALUA_E_CANCELLED: return "cancelled";
    case MODALUA_E_LIMIT: return "a time limit ended the run";
    case MODALUA_E_INVALID: return "an argument that cannot be";
    case MODALUA_E_SYSTEM: return "the system refused something";
    case MODALUA_EXIT: return "the script called os.exit";
    default: return "unknown status";
    }
}

const char *modalua_last_error(const modalua_runtime *rt)
{
    return rt && rt->error ? rt->error : "";
}

int modalua_exit_code(const modalua_runtime *rt)
{
    return rt->lp.exit_code;
}

/* ---- entering and leaving ---- */

typedef struct entry {
    locale_t locale;
} entry;

static void enter(modalua_runtime *rt, entry *e)
{
    rt->busy = true;
    e->locale = uselocale(rt->c_locale);
    atomic_store(&rt->lp.thread, pthread_self());
    atomic_store(&rt->lp.running, rt->L);
}

static void leave(modalua_runtime *rt, const entry *e)
{
    atomic_store(&rt->lp.running, NULL);
    uselocale(e->locale);
    rt->busy = false;
}

/* What every protected function here receives. */
typedef struct call {
    modalua_runtime *rt;
    int status;
    const char *name, *text; /* a chunk's name and source; a file's path; a function's name and argument */
    size_t size;
    int argc, script;
    const char *const *argv;
    double seconds;
} call;

/* Keeps the string on the top as the last error (or as the last result). [-1, +0] */
static const char *keep(lua_State *L, const char *key)
{
    const char *text = lua_tostring(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, key);
    return text;
}

/* Runs a C function under protection; a failure of its own means that there was no memory for it. */
static int protect(modalua_runtime *rt, lua_CFunction function, call *c)
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
    rt->error = modalua_strerror(MODALUA_E_NOMEM);
    lua_settop(L, 0);
    return MODALUA_E_NOMEM;
}

/* ---- create and destroy ---- */

void modalua_config_init(modalua_config *config)
{
    memset(config, 0, sizeof *config);
    config->struct_size = sizeof *config;
}

static bool config_valid(const modalua_config *c)
{
    return c->run_seconds >= 0 && c->burst_seconds >= 0 && c->grace_seconds >= 0 && (!c->password || c->username);
}

/* The strings of the configuration, in their runtime's copies. */
static const char **config_strings(modalua_config *c, size_t i)
{
    const char **strings[] = { &c->module_path, &c->url, &c->username, &c->password, &c->token };
    return i < sizeof strings / sizeof strings[0] ? strings[i] : NULL;
}

static bool copy_strings(modalua_runtime *rt, const modalua_config *from)
{
    const char **field;
    modalua_config source = *from;
    for (size_t i = 0; (field = config_strings(&rt->config, i)); i++)
        *field = NULL;
    for (size_t i = 0; (field = config_strings(&rt->config, i)); i++) {
        const char *text = *config_strings(&source, i);
        char *copy;
        if (!text)
            continue;
        copy = mem_realloc(&rt->mem, NULL, 0, strlen(text) + 1);
        if (!copy)
            return false;
        *field = strcpy(copy, text);
    }
    return true;
}

/* Overwritten first: some are secrets. */
static void free_strings(modalua_runtime *rt)
{
    const char **field;
    for (size_t i = 0; (field = config_strings(&rt->config, i)); i++) {
        volatile char *p = (char *)*field;
        size_t size = *field ? strlen(*field) + 1 : 0;
        for (size_t k = 0; k < size; k++)
            p[k] = 0;
        if (size)
            mem_realloc(&rt->mem, (char *)*field, size, 0);
    }
}

/* Only absolute templates, unless the user has set others: code loaded from wherever the process happens to stand is a way in. */
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

static int open_p(lua_State *L)
{
    static const char *const keys[] = { &root_key, &error_key, &json_key };
    const call *c = lua_touserdata(L, 1);
    modalua_runtime *rt = c->rt;
    bool environment = (rt->config.flags & MODALUA_ENVIRONMENT) != 0;
    if (!environment) {
        lua_pushboolean(L, 1);
        lua_setfield(L, LUA_REGISTRYINDEX, "LUA_NOENV");
    }
    luaL_openlibs(L);
    lbase_open(L);
    lmodule_preload(L, &rt->lp, &rt->defaults);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) { /* from here on, setting them cannot fail */
        lua_pushboolean(L, 0);
        lua_rawsetp(L, LUA_REGISTRYINDEX, keys[i]);
    }
    lua_getglobal(L, "package");
    clean_path(L, "path", rt->config.module_path, environment && (getenv("LUA_PATH_5_4") || getenv("LUA_PATH")));
    clean_path(L, "cpath", NULL, environment && (getenv("LUA_CPATH_5_4") || getenv("LUA_CPATH")));
    return 0;
}

static void log_line(void *user, const char *line)
{
    modalua_runtime *rt = user;
    rt->config.log(rt->config.user, line, strlen(line));
}

/* The loop's settings out of the configuration. */
static void apply_config(modalua_runtime *rt)
{
    const modalua_config *c = &rt->config;
    loop *lp = &rt->lp;
    lp->grace = c->grace_seconds > 0 ? c->grace_seconds : DEFAULT_GRACE;
    lp->burst = c->burst_seconds;
    lp->interruptible = !(c->flags & MODALUA_NO_HOOK) || c->run_seconds > 0 || c->burst_seconds > 0;
    lp->http.max_running = c->max_inflight;
    lp->http.no_global_init = (c->flags & MODALUA_NO_GLOBAL_INIT) != 0;
    if (c->log) {
        lp->http.log = log_line;
        lp->http.log_user = rt;
    }
    rt->defaults = (lclient_defaults){ .url = c->url, .username = c->username, .password = c->password, .token = c->token,
                                       .environment_proxy = (c->flags & MODALUA_ENVIRONMENT) != 0 };
}

static int build(modalua_runtime *rt, const modalua_config *config)
{
    call c = { 0 };
    entry e;
    int status;
    if (!loop_init(&rt->lp, &rt->mem))
        return MODALUA_E_SYSTEM;
    rt->c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!copy_strings(rt, config) || !rt->c_locale)
        return MODALUA_E_NOMEM;
    apply_config(rt);
    rt->L = lua_newstate(mem_realloc, &rt->mem);
    if (!rt->L)
        return MODALUA_E_NOMEM;
    limits_install(rt->L, &rt->lp);
    enter(rt, &e);
    status = protect(rt, open_p, &c);
    leave(rt, &e);
    return status;
}

int modalua_create(modalua_runtime **out, const modalua_config *config)
{
    modalua_config full;
    modalua_runtime *rt;
    mem account;
    int status;

    if (!out)
        return MODALUA_E_INVALID;
    *out = NULL;
    modalua_config_init(&full);
    if (config)
        memcpy(&full, config, config->struct_size < sizeof full ? config->struct_size : sizeof full);
    full.struct_size = sizeof full;
    if (!config_valid(&full))
        return MODALUA_E_INVALID;
    mem_init(&account, full.alloc, full.alloc_user, full.memory_limit);
    rt = mem_realloc(&account, NULL, 0, sizeof *rt);
    if (!rt)
        return MODALUA_E_NOMEM;
    memset(rt, 0, sizeof *rt);
    rt->mem = account;
    rt->config = full;
    rt->lp.wake[0] = rt->lp.wake[1] = -1;
    status = build(rt, &full);
    if (status == MODALUA_OK)
        *out = rt;
    else
        modalua_destroy(rt);
    return status;
}

void modalua_destroy(modalua_runtime *rt)
{
    mem account;
    if (!rt)
        return;
    if (rt->root) {
        loop_kill(&rt->lp, REASON_CANCELLED);
        while (rt->root)
            modalua_step(rt, 0);
    }
    if (rt->L) {
        entry e;
        enter(rt, &e);
        op_farewells_pending(rt->L, &rt->lp, true);
        lua_close(rt->L);
        leave(rt, &e);
    }
    loop_free(&rt->lp);
    free_strings(rt);
    if (rt->c_locale)
        freelocale(rt->c_locale);
    account = rt->mem;
    mem_realloc(&account, rt, sizeof *rt, 0);
}

/* ---- starting a run ---- */

static int arg_p(lua_State *L)
{
    const call *c = lua_touserdata(L, 1);
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
    call c = { .argc = argc, .argv = argv, .script = script };
    entry e;
    int status;
    if (!rt || argc < 0 || script < 0 || (argc > 0 && !argv))
        return MODALUA_E_INVALID;
    if (rt->busy)
        return MODALUA_E_BUSY;
    enter(rt, &e);
    status = protect(rt, arg_p, &c);
    leave(rt, &e);
    return status;
}

/* The chunk, or the reason why there is none, is on the top. */
static int begin_run(lua_State *L, call *c, int loaded)
{
    if (loaded != LUA_OK) {
        c->status = loaded == LUA_ERRMEM ? MODALUA_E_NOMEM : loaded == LUA_ERRSYNTAX ? MODALUA_E_SYNTAX : MODALUA_E_FILE;
        c->rt->error = keep(L, &error_key);
        return 0;
    }
    luaL_checkstack(L, c->argc + 4, "too many arguments to a script");
    for (int i = 0; i < c->argc; i++)
        lua_pushstring(L, c->argv[i]);
    c->rt->root = task_new(L, &c->rt->lp, c->argc);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &root_key);
    return 0;
}

static int start_string_p(lua_State *L)
{
    call *c = lua_touserdata(L, 1);
    return begin_run(L, c, luaL_loadbufferx(L, c->text, c->size, c->name, "t"));
}

static int start_file_p(lua_State *L)
{
    call *c = lua_touserdata(L, 1);
    return begin_run(L, c, luaL_loadfilex(L, c->name, "t"));
}

/* The result, if any, is on the top. */
static int called_k(lua_State *L, int status, lua_KContext context)
{
    modalua_runtime *rt = runtime_of(L);
    (void)status;
    (void)context;
    if (lua_isnil(L, -1))
        return 0;
    if (!ljson_encode(L, lua_gettop(L), NULL))
        return luaL_error(L, "the result cannot be sent as JSON: %s", lua_tostring(L, -1));
    rt->json = keep(L, &json_key);
    return 0;
}

/* Finds a function by a path from the globals, or by a module's name and a field. [-0, +1] */
static void push_function(lua_State *L, const char *path)
{
    const char *dot = strrchr(path, '.');
    lua_pushglobaltable(L);
    for (const char *at = path; at && lua_istable(L, -1);) {
        size_t n = strcspn(at, ".");
        lua_pushlstring(L, at, n);
        lua_gettable(L, -2);
        lua_remove(L, -2);
        at = at[n] ? at + n + 1 : NULL;
    }
    if (lua_isfunction(L, -1) || !dot)
        return;
    lua_pop(L, 1);
    lua_getglobal(L, "require");
    lua_pushlstring(L, path, (size_t)(dot - path));
    lua_call(L, 1, 1);
    if (lua_istable(L, -1))
        lua_getfield(L, -1, dot + 1);
}

/* The body of a modalua_call: path, then the argument's JSON text or nil. */
static int call_body(lua_State *L)
{
    modalua_runtime *rt = runtime_of(L);
    const char *path = lua_tostring(L, 1), *json = lua_tostring(L, 2);
    push_function(L, path);
    if (!lua_isfunction(L, -1))
        return luaL_error(L, "there is no function '%s'", path);
    if (json && !ljson_decode(L, &rt->mem, json, lua_rawlen(L, 2)))
        return luaL_error(L, "the argument of '%s' is not JSON: %s", path, lua_tostring(L, -1));
    lua_callk(L, json ? 1 : 0, 1, 0, called_k);
    return called_k(L, LUA_OK, 0);
}

static int start_call_p(lua_State *L)
{
    call *c = lua_touserdata(L, 1);
    const char *args[2] = { c->name, c->text };
    c->argv = args;
    c->argc = c->text ? 2 : 1;
    lua_pushcfunction(L, call_body);
    return begin_run(L, c, LUA_OK);
}

static int start(modalua_runtime *rt, lua_CFunction function, call *c, modalua_done_fn done, void *user)
{
    entry e;
    int status;
    if (rt->busy || rt->root)
        return MODALUA_E_BUSY;
    rt->error = rt->json = NULL;
    limits_reset(&rt->lp);
    if (rt->config.run_seconds > 0)
        rt->lp.deadline = loop_now() + rt->config.run_seconds;
    rt->lp.exit_code = 0;
    rt->drain_end = 0;
    rt->done = done;
    rt->done_user = user;
    enter(rt, &e);
    status = protect(rt, function, c);
    leave(rt, &e);
    return status;
}

int modalua_start_string(modalua_runtime *rt, const char *name, const char *source, size_t size, modalua_done_fn done, void *user)
{
    call c = { .name = name, .text = source, .size = size };
    return rt && name && (source || size == 0) ? start(rt, start_string_p, &c, done, user) : MODALUA_E_INVALID;
}

int modalua_start_file(modalua_runtime *rt, const char *path, int argc, const char *const *argv, modalua_done_fn done, void *user)
{
    call c = { .name = path, .argc = argc, .argv = argv };
    return rt && argc >= 0 && (argc == 0 || argv) ? start(rt, start_file_p, &c, done, user) : MODALUA_E_INVALID;
}

int modalua_start_call(modalua_runtime *rt, const char *function, const char *json_in, modalua_done_fn done, void *user)
{
    call c = { .name = function, .text = json_in };
    return rt && function ? start(rt, start_call_p, &c, done, user) : MODALUA_E_INVALID;
}

/* ---- ending a run ---- */

/* Pushes what the error value says, as lua's own message handler does. */
static void push_error_text(lua_State *L, int index)
{
    if (lua_isstring(L, index))
        lua_pushvalue(L, index);
    else if (luaL_getmetafield(L, index, "__tostring") != LUA_TNIL)
        luaL_tolstring(L, index, NULL);
    else
        lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, index));
}

static bool is_memory_error(lua_State *L, int index)
{
    return lua_type(L, index) == LUA_TSTRING && strcmp(lua_tostring(L, index), "not enough memory") == 0;
}

static int failure_status(lua_State *L, int index)
{
    const loop *lp = limits_loop(L);
    if (lp->stop == LOOP_KILL)
        return lp->reason == REASON_EXIT ? MODALUA_EXIT : lp->reason == REASON_CANCELLED ? MODALUA_E_CANCELLED : MODALUA_E_LIMIT;
    if (lp->stop == LOOP_CANCEL)
        return MODALUA_E_CANCELLED;
    return is_memory_error(L, index) ? MODALUA_E_NOMEM : MODALUA_E_SCRIPT;
}

static const char *limit_message(const modalua_runtime *rt, lua_State *L)
{
    if (rt->lp.reason == REASON_LUA_TIME)
        return lua_pushfstring(L, "the script ran for more than %f s without a wait", (double)rt->config.burst_seconds);
    return lua_pushfstring(L, "the run took longer than %f s", (double)rt->config.run_seconds);
}

/* Reads the outcome of the root task into the call's status and the last error. */
static int finish_p(lua_State *L)
{
    call *c = lua_touserdata(L, 1);
    modalua_runtime *rt = c->rt;
    int traceback;
    if (!rt->root->failed && rt->lp.stop == LOOP_GO)
        return 0;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &root_key);
    task_push_failure(L, 2); /* c root error traceback */
    traceback = lua_gettop(L);
    c->status = failure_status(L, 3);
    if (c->status == MODALUA_EXIT)
        return 0;
    rt->error = modalua_strerror(c->status); /* should there be no memory for more */
    if (c->status == MODALUA_E_LIMIT)
        limit_message(rt, L);
    else if (c->status != MODALUA_E_SCRIPT)
        lua_pushstring(L, rt->error);
    limits_reset(&rt->lp);
    if (c->status == MODALUA_E_SCRIPT)
        push_error_text(L, 3); /* may run a __tostring of the script's */
    if (lua_isstring(L, traceback) && c->status == MODALUA_E_SCRIPT)
        lua_pushfstring(L, "%s\n%s", lua_tostring(L, -1), lua_tostring(L, traceback));
    rt->error = keep(L, &error_key);
    return 0;
}

static int end_run(modalua_runtime *rt)
{
    call c = { 0 };
    int status = protect(rt, finish_p, &c), top;
    if (status == MODALUA_E_NOMEM && c.status < 0)
        status = c.status; /* the outcome was known, only its text did not fit */
    top = lua_gettop(rt->L);
    lua_pushboolean(rt->L, 0);
    lua_rawsetp(rt->L, LUA_REGISTRYINDEX, &root_key); /* an existing key: cannot fail */
    lua_settop(rt->L, top);
    rt->root = NULL;
    limits_reset(&rt->lp);
    if (!rt->lp.interruptible)
        lua_sethook(rt->L, NULL, 0, 0);
    return status;
}

/* The root has ended and farewells are under way that still have time. */
static bool draining(modalua_runtime *rt)
{
    if (rt->drain_end == 0)
        rt->drain_end = loop_now() + DRAIN_SECONDS;
    return op_farewells_pending(rt->L, &rt->lp, false) && rt->lp.stop != LOOP_KILL && loop_now() < rt->drain_end;
}

static int step_p(lua_State *L)
{
    call *c = lua_touserdata(L, 1);
    modalua_runtime *rt = c->rt;
    if (rt->root->state != TASK_DONE) {
        task_turn(L, &rt->lp, c->seconds);
        op_farewells_pending(L, &rt->lp, false);
    } else {
        loop_pump(&rt->lp, c->seconds < 0 || c->seconds > DRAIN_SECONDS ? DRAIN_SECONDS : c->seconds);
    }
    return 0;
}

int modalua_step(modalua_runtime *rt, int max_wait_ms)
{
    call c = { .seconds = max_wait_ms < 0 ? -1 : max_wait_ms / 1000.0 };
    entry e;
    int status;
    if (!rt)
        return MODALUA_E_INVALID;
    if (rt->busy)
        return MODALUA_E_BUSY;
    if (!rt->root)
        return MODALUA_OK;
    enter(rt, &e);
    status = protect(rt, step_p, &c);
    if (status < 0)
        loop_kill(&rt->lp, REASON_CANCELLED);
    else if (rt->root->state != TASK_DONE || draining(rt))
        status = MODALUA_WORKING;
    else {
        op_farewells_pending(rt->L, &rt->lp, true);
        status = end_run(rt);
    }
    leave(rt, &e);
    if (status != MODALUA_WORKING && !rt->root && rt->done)
        rt->done(rt->done_user, rt, status);
    return status < 0 && rt->root ? MODALUA_WORKING : status;
}

/* ---- the blocking calls: start and step ---- */

static int run_to_end(modalua_runtime *rt, int started)
{
    int status = started;
    if (started != MODALUA_OK)
        return started;
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
    return run_to_end(rt, modalua_start_file(rt, path, argc, argv, NULL, NULL));
}

int modalua_call(modalua_runtime *rt, const char *function, const char *json_in, const char **json_out)
{
    int status = run_to_end(rt, modalua_start_call(rt, function, json_in, NULL, NULL));
    if (json_out)
        *json_out = status == MODALUA_OK ? rt->json : NULL;
    return status;
}

/* ---- stopping ---- */

void modalua_cancel(modalua_runtime *rt)
{
    struct lua_State *running;
    loop_cancel(&rt->lp);
    running = atomic_load(&rt->lp.running);
    if (running && pthread_equal(atomic_load(&rt->lp.thread), pthread_self()))
        limits_arm(running); /* we are a signal handler on its own thread, or a callback: no race */
}
