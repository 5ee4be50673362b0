/* sandbox.c - tests what MODALUA_SANDBOX allows. It runs the parts of sandbox.lua, whose path is
 * SANDBOX_LUA. The argument is the URL of the fault server. */
#define _POSIX_C_SOURCE 200809L

#include <stdbool.h>
#include <time.h>

#include "runs.h"

static const char *url;

/* ---- the parts in sandbox.lua ---- */

static void give_bytes(void *user, const char *arguments, modalua_reply *reply)
{
    const output *b = user;
    (void)arguments;
    CHECK(modalua_reply_text(reply, b->text, b->size) == MODALUA_OK);
}

static modalua_config sandboxed(void)
{
    modalua_config config = watched();
    config.flags = MODALUA_SANDBOX;
    return config;
}

static void run_part(modalua_runtime *rt, const char *part, const char *more)
{
    const char *const arguments[] = { part, url, more };
    int status = modalua_run_file(rt, SANDBOX_LUA, more ? 3 : 2, arguments);
    if (status != MODALUA_OK)
        fprintf(stderr, "%s: %s\n", part, modalua_last_error(rt));
    CHECK(status == MODALUA_OK);
}

static void try_part(const modalua_config *config, const char *part, const char *more)
{
    modalua_runtime *rt = make(config);
    run_part(rt, part, more);
    modalua_destroy(rt);
}

static void test_library(void)
{
    modalua_config config = sandboxed();
    config.servers = url;
    try_part(&config, "globals", NULL);
    config.flags |= MODALUA_NO_HOOK | MODALUA_ENVIRONMENT; /* must not weaken the sandbox */
    config.module_path = "/usr/share/lua/5.4/?.lua";
    try_part(&config, "globals", NULL);
    try_part(&config, "strings", NULL);
    try_part(&config, "require", NULL);
}

static void test_load(void)
{
    output dumped = { "", 0 };
    modalua_config config = watched();
    modalua_runtime *rt;
    config.write = collect;
    config.user = &dumped;
    rt = make(&config);
    pass(rt, "print(string.dump(function() return 'got out' end))");
    modalua_destroy(rt);
    config = sandboxed();
    rt = make(&config);
    CHECK(modalua_register(rt, "bytecode", give_bytes, &dumped) == MODALUA_OK);
    run_part(rt, "load", NULL);
    CHECK(modalua_run_string(rt, "=test", dumped.text, dumped.size) == MODALUA_E_SYNTAX);
    modalua_destroy(rt);
}

static void test_servers(void)
{
    char own[300], servers[800];
    modalua_config config = sandboxed();
    try_part(&config, "connect", "nothing");
    config.servers = " ";
    try_part(&config, "connect", "nothing");
    snprintf(own, sizeof own, "http://user:secret@%s/echo", url + 7);
    snprintf(servers, sizeof servers,
             " %s/prefix/a\t http://h.example:8042/x/ \n https://s.example http://[::1]:8042 "
             "http://[fe80::1%%25eth0]:8042",
             url);
    config.url = own;
    config.servers = servers;
    try_part(&config, "connect", NULL);
    try_part(&config, "options", NULL);
    try_part(&config, "routes", NULL);
    try_part(&config, "long", NULL);
    try_part(&config, "files", NULL);
    snprintf(servers, sizeof servers, "%s/echo %s/prefix %s/prefix/echo/a", url, url, url);
    config.url = NULL;
    config.servers = servers;
    try_part(&config, "bases", NULL);
    config.url = own;
    snprintf(own, sizeof own, "http://user:secret@%s", url + 7);
    try_part(&config, "secrets", NULL);
    snprintf(own, sizeof own, "http://user:s%%65cret@%s", url + 7);
    try_part(&config, "secrets", NULL);
}

/* If the host gives an invalid server, connect throws an error, which does not contain the password. */
static void test_wrong_server(void)
{
    modalua_config config = sandboxed();
    modalua_runtime *rt;
    config.servers = "http://user:secret@h.example/?x";
    rt = make(&config);
    pass(rt, "local good, err = pcall(require 'modalua'.connect, 'http://h.example')\n"
             "assert(not good and err:find 'servers that the host allows')\n"
             "assert(not err:find 'secret')");
    modalua_destroy(rt);
}

/* ---- from the host's side ---- */

static void find_module(void *user, const char *name, modalua_reply *reply)
{
    static const char source[] =
        "return {f = function() return _G == _ENV and not io and not debug "
        "and not package and not os.execute end}";
    (void)user;
    if (strcmp(name, "hosts") == 0 || strcmp(name, "modalua.verbs") == 0)
        CHECK(modalua_reply_text(reply, source, sizeof source - 1) == MODALUA_OK);
    CHECK(strcmp(name, "modalua.task") != 0); /* the host is not asked for modalua's own modules */
}

/* The modules of the host are in the sandbox too. By name, the host can call only functions of the
 * script and of modalua. */
static void test_host(void)
{
    modalua_config config = sandboxed();
    modalua_runtime *rt;
    const char *json;
    config.search = find_module;
    rt = make(&config);
    pass(rt,
         "assert(require 'hosts'.f() and require 'modalua.task' and require 'modalua.verbs'.f())");
    CHECK(modalua_call(rt, "hosts.f", NULL, &json) == MODALUA_OK && strcmp(json, "true") == 0);
    CHECK(modalua_call(rt, "modalua.json.encode", "[]", &json) == MODALUA_OK);
    CHECK(modalua_call(rt, "os.execute", "\"true\"", &json) == MODALUA_E_SCRIPT);
    CHECK(modalua_call(rt, "os.getenv", "\"PATH\"", &json) == MODALUA_E_SCRIPT);
    CHECK(modalua_call(rt, "io.popen", "\"true\"", &json) == MODALUA_E_SCRIPT);
    CHECK(modalua_set_global(rt, "limit", "7") == MODALUA_OK);
    pass(rt, "assert(limit == 7 and _G.limit == 7) limit = 8");
    CHECK(modalua_get_global(rt, "limit", &json) == MODALUA_OK && strcmp(json, "8") == 0);
    CHECK(modalua_get_global(rt, "io", &json) == MODALUA_OK && !json);
    modalua_destroy(rt);
}

/* ---- scripts that try to survive a kill ---- */

/* Each of these would run forever. */
static const struct {
    const char *code;
    int status;
    bool waits; /* so burst_seconds may not end it */
} spins[] = {
    { "while true do load(function() while true do end end) end", MODALUA_E_LIMIT, false },
    { "local function f() return load(f) end while true do f() end", MODALUA_E_LIMIT, false },
    { "while true do pcall(load, function() error(error) end) xpcall(error, function() while true "
      "do end end) end",
      MODALUA_E_LIMIT, false },
    { "while true do pcall(f) coroutine.wrap(function() while true do pcall(f) end end)() end",
      MODALUA_E_LIMIT, false },
    { "local mt = {} mt.__index = function() while true do pcall(f) end end "
      "while true do pcall(function() return setmetatable({}, mt).x end) end",
      MODALUA_E_LIMIT, false },
    { "while true do pcall(string.gsub, ('x'):rep(100), 'x', function() while true do f() end end) "
      "end",
      MODALUA_E_LIMIT, false },
    { "while true do pcall(require, 'm') end", MODALUA_E_LIMIT, false },
    { "local t <close> = setmetatable({}, {__close = function() while true do pcall(f) end end}) "
      "error()",
      MODALUA_E_LIMIT, false },
    { "local task = require 'modalua.task' local function again() task.spawn(again) pcall(f) end "
      "again() while true do pcall(task.sleep, 0) end",
      MODALUA_E_LIMIT, true },
    { "local task = require 'modalua.task' while true do pcall(task.map, {1, 2, 3}, function() "
      "while true do pcall(task.sleep, 0) end end) end",
      MODALUA_E_LIMIT, true },
    { "while true do pcall(coroutine.close, coroutine.create(function() end)) end", MODALUA_E_LIMIT,
      false },
    { "local co = coroutine.create(function() local c <close> = setmetatable({}, {__close = "
      "function() while true do pcall(f) end end}) coroutine.yield() end) coroutine.resume(co) "
      "coroutine.close(co)",
      MODALUA_E_LIMIT, false },
    { "error(setmetatable({}, {__tostring = function() while true do pcall(f) end end}))",
      MODALUA_E_SCRIPT, false },
    { "while true do pcall(table.sort, {3, 2, 1}, function() while true do pcall(f) end end) end",
      MODALUA_E_LIMIT, false },
};

static void at_once(void *user, const char *arguments, modalua_reply *reply)
{
    (void)user;
    (void)arguments;
    CHECK(modalua_reply_text(reply, "return f()", 10) == MODALUA_OK);
}

static void find_anything(void *user, const char *name, modalua_reply *reply)
{
    at_once(user, name, reply);
}

static void test_kill(bool by_burst)
{
    for (size_t i = 0; i < sizeof spins / sizeof *spins; i++) {
        modalua_config config = sandboxed();
        modalua_runtime *rt;
        double before = now();
        int status;
        config.memory_limit = (size_t)64 << 20;
        config.run_seconds = by_burst ? 4 : 0.1;
        config.burst_seconds = by_burst ? 0.1 : 0;
        config.search = find_anything;
        rt = make(&config);
        CHECK(modalua_register(rt, "f", at_once, NULL) == MODALUA_OK);
        status = run(rt, spins[i].code);
        if (status != spins[i].status)
            fprintf(stderr, "%d: %s\n", status, spins[i].code);
        CHECK(status == spins[i].status);
        if (status == MODALUA_E_LIMIT && !spins[i].waits)
            CHECK(strstr(modalua_last_error(rt), by_burst ? "without a wait" : "longer than"));
        CHECK(now() - before < 30);
        pass(rt, "assert(f() == 'return f()')");
        modalua_destroy(rt);
    }
}

/* ---- outside a sandbox ---- */

/* The hook must stay in place, so scripts cannot call debug.sethook or set __gc. With MODALUA_NO_HOOK
 * they can do both. */
static void test_hook(void)
{
    modalua_config config = watched();
    modalua_runtime *rt = make(NULL);
    pass(rt,
         "for _, f in ipairs {setmetatable, debug.setmetatable} do\n"
         "  local good, err = pcall(f, {}, {__gc = false})\n"
         "  assert(not good and err:find '__gc')\n"
         "  assert(f({}, {}) and getmetatable(f({}, {__name = 'x'})).__name == 'x')\n"
         "end\n"
         "local good, err = pcall(debug.sethook) assert(not good and err:find 'sethook')\n"
         "good, err = pcall(debug.sethook, coroutine.create(print), print, 'l')\n"
         "assert(not good and err:find 'sethook' and debug.gethook and io.open and os.execute)\n"
         "local u = debug.setmetatable(7, {__index = {x = 1}}) assert(u == 7 and (7).x == 1)\n"
         "debug.setmetatable(7, nil)");
    modalua_destroy(rt);
    config.run_seconds = 0;
    config.flags = MODALUA_NO_HOOK;
    rt = make(&config);
    pass(rt, "local n = 0 debug.sethook(function() n = n + 1 end, 'l')\n"
             "local x = 1\n"
             "debug.sethook() assert(n > 0)\n"
             "local gone = 0\n"
             "setmetatable({}, {__gc = function() gone = gone + 1 end})\n"
             "debug.setmetatable({}, {__gc = function() gone = gone + 1 end})\n"
             "collectgarbage() assert(gone == 2)");
    modalua_destroy(rt);
    config.run_seconds = WATCHDOG; /* a time limit needs the hook in spite of MODALUA_NO_HOOK */
    rt = make(&config);
    pass(rt, "assert(not pcall(debug.sethook) and not pcall(setmetatable, {}, {__gc = 1}))");
    modalua_destroy(rt);
}

int main(int argc, char **argv)
{
    url = server_url(argc, argv);
    test_library();
    test_load();
    test_servers();
    test_wrong_server();
    test_host();
    test_kill(false);
    test_kill(true);
    test_hook();
    return 0;
}
