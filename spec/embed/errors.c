/* errors.c - tests what the library reports to its host: the last error as JSON, how long a kill is
 * overdue, and what the limits count. */
#define _POSIX_C_SOURCE 200809L

#include <math.h>
#include <stdbool.h>

#include "runs.h"

/* ---- the last error as JSON ---- */

static modalua_runtime *judge; /* a second runtime that decodes the JSON and checks it */

/* Checks modalua_last_error_json. The expectation is a Lua expression about the decoded object `e`. */
static void check_error(const modalua_runtime *rt, const char *expectation)
{
    const char *json = modalua_last_error_json(rt);
    char code[600];
    int status = modalua_set_global(judge, "e", json);
    if (status == MODALUA_OK) {
        snprintf(code, sizeof code, "assert(%s)", expectation);
        status = run(judge, code);
    }
    if (status != MODALUA_OK)
        fprintf(stderr, "%s\n%s\n%s\n", expectation, json, modalua_last_error(judge));
    CHECK(status == MODALUA_OK);
}

static void no(void *user, const char *arguments, modalua_reply *reply)
{
    (void)user;
    (void)arguments;
    CHECK(modalua_reply_error(reply, "gone", "it is gone \xff") == MODALUA_OK);
}

static void test_statuses(void)
{
    modalua_config config = watched();
    modalua_runtime *rt;
    CHECK(strcmp(modalua_last_error_json(NULL), "{}") == 0);
    config.burst_seconds = 0.5;
    rt = make(&config);
    CHECK(strcmp(modalua_last_error_json(rt), "{}") == 0);
    CHECK(run(rt, "x =") == MODALUA_E_SYNTAX);
    check_error(
        rt, "e.modalua_status == -2 and e.kind == 'syntax' and e.message:find '^test:1:' and not "
            "e.traceback");
    pass(rt, "x = 1");
    CHECK(strcmp(modalua_last_error_json(rt), "{}") == 0);
    CHECK(run(rt, "error 'boom \"\\n'") == MODALUA_E_SCRIPT);
    check_error(
        rt, "e.modalua_status == -3 and e.kind == 'script' and e.message == 'test:1: boom \"\\n'"
            " and e.traceback:find '^stack traceback:\\n'");
    CHECK(strncmp(modalua_last_error(rt), "test:1: boom \"\n\nstack traceback:", 32) == 0);
    CHECK(modalua_run_file(rt, "/nosuch.lua", 0, NULL) == MODALUA_E_FILE);
    check_error(rt, "e.modalua_status == -4 and e.kind == 'file' and e.message:find '/nosuch.lua'");
    CHECK(modalua_set_global(rt, "no name", "1") == MODALUA_E_INVALID);
    check_error(
        rt,
        "e.modalua_status == -8 and e.kind == 'invalid'"); /* the new error, not the one before */
    CHECK(run(rt, "while true do end") == MODALUA_E_LIMIT);
    check_error(rt, "e.modalua_status == -7 and e.kind == 'limit' and e.message:find '0.5 s'");
    CHECK(start(rt, "require 'modalua.task'.sleep(60)") == MODALUA_OK);
    CHECK(modalua_step(rt, 0) == MODALUA_WORKING);
    modalua_cancel(rt);
    CHECK(finish(rt) == MODALUA_E_CANCELLED);
    check_error(rt,
                "e.modalua_status == -6 and e.kind == 'cancelled' and e.message == 'cancelled'");
    CHECK(modalua_call(rt, "nosuch", NULL, NULL) == MODALUA_E_SCRIPT);
    check_error(rt, "e.modalua_status == -3 and e.message:find 'nosuch'");
    CHECK(run(rt, "os.exit(3)") == MODALUA_EXIT);
    check_error(rt, "e.modalua_status == -10 and e.kind == 'exit'");
    pass(rt, "n = 1");
    CHECK(modalua_set_global(rt, "n.x", "1") == MODALUA_E_INVALID);
    check_error(rt, "e.modalua_status == -8 and e.kind == 'invalid' and e.message:find 'n.x'");
    CHECK(modalua_set_global(rt, "n", "{") == MODALUA_E_SCRIPT);
    check_error(rt, "e.modalua_status == -3 and e.message:find 'JSON'");
    modalua_destroy(rt);
}

/* Scripts can throw any value: strings, tables, error objects, values that no JSON can hold. Each with the
 * expectation of check_error. */
static const char *const thrown[][2] = {
    { "error 'a\\xffb\\xC3'", "e.message:find('a\\u{FFFD}b\\u{FFFD}', 1, true)" },
    { "error('', 0)", "e.message == '' and e.kind == 'script'" },
    { "error(nil)", "e.message:find 'nil'" },
    { "error(42, 0)", "e.message == '42'" },
    { "error(print)", "e.message:find 'function'" },
    { "error {kind = 'own', message = 'full'}",
      "e.kind == 'script' and e.message == 'full (kind own)'" },
    { "error {code = 5, message = print}",
      "e.message == '(error object is a table value) (code 5)'" },
    { "error(setmetatable({}, {__index = function() error 'called' end}))",
      "e.message == '(error object is a table value)'" },
    { "error(setmetatable({}, {__tostring = function() return 'said' end}))",
      "e.message == 'said' and e.kind == 'script'" },
    { "error(setmetatable({}, {__tostring = function() error('again', 0) end}))",
      "e.message == 'again' and e.modalua_status == -3" },
    { "error(setmetatable({}, {__tostring = print}))",
      "e.message == '(error object is a table value)'" },
    { "error(err())",
      "e.kind == 'host' and e.code == 'gone' and e.op == 'no' and e.modalua_status == -3 "
      "and e.message == 'it is gone \\u{FFFD}' and e.where == 'test:1' and "
      "e.traceback" },
    { "error(err {status = 404})", "e.status == 404 and e.modalua_status == -3" },
    { "error(err {details = {list = {1, {}}, yes = true}, [1] = 2})",
      "e.details.list[1] == 1 and e.details.yes and e.kind == 'host' and not e[1]" },
    { "error(err {f = print, details = {1}, n = 5, flag = false})",
      "e.n == 5 and e.flag == false and not e.f and e.code == 'gone'" },
    { "local t = {} t.t = t error(err {t = t, n = 5})",
      "e.n == 5 and not e.t and e.kind == 'host'" },
    { "error(err {text = 'a\\xff', ['k\\xff'] = 'x', ['\\0'] = 'y'})",
      "e.text == 'a\\u{FFFD}' and e['k\\u{FFFD}'] == 'x' and e['\\0'] == 'y'" },
    { "error(err {list = {'\\xff'}, nan = 0/0, big = -math.huge, n = 1})",
      "e.n == 1 and not e.list and not e.nan and not e.big and e.message:find 'gone'" },
    { "error(err {kind = {}, message = 5, traceback = {}, status = 'x'})",
      "e.kind == 'script' and e.message:find '^no: 5' and e.modalua_status == -3 and "
      "e.traceback:find "
      "'^stack'" },
    { "require 'modalua.task'.spawn(error, err())", "e.kind == 'host' and e.code == 'gone'" },
};

static void test_values(void)
{
    modalua_runtime *rt = make(NULL);
    CHECK(modalua_register(rt, "no", no, NULL) == MODALUA_OK);
    pass(rt, "function err(fields) local _, e = no() e.where = 'test:1'\n"
             "for k, v in pairs(fields or {}) do e[k] = v end return e end");
    for (size_t i = 0; i < sizeof thrown / sizeof *thrown; i++) {
        CHECK(run(rt, thrown[i][0]) == MODALUA_E_SCRIPT);
        check_error(rt, thrown[i][1]);
    }
    modalua_destroy(rt);
}

/* The place of an error in fields of their own. */
static void test_places(void)
{
    static const char *const cases[][2] = {
        { "local x = = 1", "e.line == 1 and e.column == 11" },
        { "x = 1\n\tx = max + * 2", "e.line == 2 and e.column == 12" },
        { "x = 'é' = 2", "e.line == 1 and e.column == 9" },
        { "f(1, x x, x)", "e.line == 1 and e.column == 8" },
        { "x = 'abc\n", "e.line == 1 and e.column == 5" },
        { "x = {\n", "e.line == 2 and e.column == 1" },
        { "goto nowhere", "e.line == 1 and not e.column" },
        { "\nerror 'boom'", "e.line == 2 and not e.column and e.message == 'test:2: boom'" },
        { "\n\nerror('http://host:80: refused', 0)", "e.line == 3" },
        { "error {}", "e.line == 1" },
        { "local function f()\n local x = nil + 1 end\nf()", "e.line == 2" },
        { "require 'modalua'.connect(5)", "e.line == 1" },
        { "assert(load('x = 1\\nerror(1)', '=other'))()", "e.module == 'other' and e.line == 2" },
        { "\nlocal _, err = no() error(err)", "e.line == 2 and e.kind == 'host'" },
        { "local _, err = no() err.line, err.module = 77, 'mine' error(err)",
          "e.line == 77 and e.module == 'mine'" },
    };
    modalua_runtime *rt = make(NULL);
    CHECK(modalua_register(rt, "no", no, NULL) == MODALUA_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char expectation[200];
        CHECK(run(rt, cases[i][0]) < 0);
        snprintf(expectation, sizeof expectation, "(%s)%s", cases[i][1],
                 strstr(cases[i][1], "module") ? "" : " and e.module == 'test'");
        check_error(rt, expectation);
    }
    CHECK(modalua_call(rt, "nosuch", NULL, NULL) == MODALUA_E_SCRIPT);
    check_error(rt, "not e.line and not e.module");
    modalua_destroy(rt);
    CHECK(modalua_version_number() == MODALUA_VERSION_NUMBER);
    CHECK(MODALUA_VERSION_NUMBER ==
          MODALUA_VERSION_MAJOR * 1000000 + MODALUA_VERSION_MINOR * 1000 + MODALUA_VERSION_PATCH);
}

/* An operation throws an error object when there is no room for its result: that is the memory limit too. */
static void test_memory_of_operations(void)
{
    static const char decode[] = "local json = require 'modalua.json'\n"
                                 "local text = '[' .. ('{},'):rep(3000000) .. '{}]'\n"
                                 "json.decode(text)";
    static const char handled[] = "assert(not pcall(require 'modalua.json'.decode, '[' .. "
                                  "('{},'):rep(3000000) .. '{}]'))";
    modalua_config config = watched();
    modalua_runtime *rt;
    config.memory_limit = (size_t)64 << 20;
    rt = make(&config);
    CHECK(run(rt, decode) == MODALUA_E_NOMEM);
    check_error(rt, "e.modalua_status == -1 and e.kind == 'limit' and e.code == 'memory'");
    check_error(rt, "e.line == 3 and e.where == 'test:3' and e.traceback");
    CHECK(strstr(modalua_last_error(rt), "not enough memory to decode"));
    pass(rt, handled);
    modalua_destroy(rt);
}

/* The error of a time limit says where the script was: when it computes, and when it waits. */
static void test_places_of_limits(void)
{
    modalua_config config = watched();
    modalua_runtime *rt;
    config.burst_seconds = 0.2;
    config.run_seconds = 0.5;
    rt = make(&config);
    CHECK(run(rt, "\nlocal function f()\n pcall(function() while true do end end)\nend\nf()") ==
          MODALUA_E_LIMIT);
    check_error(rt, "e.kind == 'limit' and e.line == 3 and e.module == 'test'");
    CHECK(strcmp(modalua_last_error(rt),
                 "the script ran for more than 0.2 s without a wait (test:3)") == 0);
    CHECK(run(rt, "\nrequire 'modalua.task'.sleep(60)") == MODALUA_E_LIMIT);
    check_error(rt, "e.kind == 'limit' and e.line == 2 and e.where == 'test:2'");
    CHECK(strcmp(modalua_last_error(rt), "the run took longer than 0.5 s (test:2)") == 0);
    modalua_destroy(rt);
}

/* A traceback of C functions alone says nothing. */
static void test_traceback_of_calls(void)
{
    modalua_runtime *rt = make(NULL);
    CHECK(modalua_call(rt, "print", "{", NULL) == MODALUA_E_SCRIPT);
    CHECK(modalua_last_error(rt)[0] && !strchr(modalua_last_error(rt), '\n'));
    check_error(rt, "not e.traceback");
    modalua_destroy(rt);
}

/* With any memory limit, the error is complete and correct JSON. */
static void test_memory(void)
{
    int made = 0;
    for (size_t limit = 4096; limit < (size_t)160 << 10; limit += 1500) {
        modalua_config config = watched();
        modalua_runtime *rt;
        int status;
        config.memory_limit = limit;
        status = modalua_create(&rt, &config);
        CHECK(status == MODALUA_OK || status == MODALUA_E_NOMEM);
        if (status != MODALUA_OK)
            continue;
        made++;
        status = run(rt, "local s = 'x' while true do s = s .. s end");
        CHECK(status == MODALUA_E_NOMEM);
        check_error(
            rt,
            "e.modalua_status == -1 and e.kind == 'memory' and e.message == 'not enough memory'");
        status =
            run(rt, "local t, e = {}, {} pcall(function() while true do t[#t + 1] = {} end end)\n"
                    "error('with little left')");
        CHECK(status == MODALUA_E_SCRIPT || status == MODALUA_E_NOMEM);
        check_error(rt, "e.modalua_status == -1 or e.modalua_status == -3 and e.message:find '.'");
        modalua_destroy(rt);
    }
    CHECK(made > 10);
}

/* ---- overdue ---- */

/* Calls modalua_overdue during a run: `first` and `seen` are its first and last result. In between it
 * cancels the run `cancels` times. With until_due it asks until the kill is overdue. */
typedef struct look {
    modalua_runtime *rt;
    double first, seen;
    int cancels;
    bool until_due;
} look;

/* Runs inside print or a function of the host. */
static void look_once(void *user, const char *text, size_t size)
{
    look *l = user;
    (void)text;
    (void)size;
    l->first = modalua_overdue(l->rt);
    for (int i = 0; i < l->cancels; i++)
        modalua_cancel(l->rt);
    do
        l->seen = modalua_overdue(l->rt);
    while (l->until_due && l->seen <= 0);
}

static void look_called(void *user, const char *arguments, modalua_reply *reply)
{
    (void)reply;
    look_once(user, arguments, 0);
}

static look looked(modalua_config *config, const char *code, int status, int cancels,
                   bool until_due)
{
    look l = { .cancels = cancels, .until_due = until_due }, result;
    config->write = look_once;
    config->user = &l;
    l.rt = make(config);
    CHECK(modalua_register(l.rt, "look", look_called, &l) == MODALUA_OK);
    CHECK(modalua_overdue(l.rt) == -HUGE_VAL);
    CHECK(run(l.rt, code) == status);
    CHECK(modalua_overdue(l.rt) == -HUGE_VAL);
    result = l;
    l.cancels = 0;
    l.until_due = false;
    for (int i = 0; i < 2; i++)
        modalua_cancel(l.rt); /* without a run: no effect on the next one */
    CHECK(modalua_overdue(l.rt) == -HUGE_VAL);
    pass(l.rt, "look()");
    CHECK(l.first < 0 && modalua_overdue(l.rt) == -HUGE_VAL);
    modalua_destroy(l.rt);
    return result;
}

static bool between(double least, double value, double most)
{
    return value > least && value < most;
}

static void test_overdue(void)
{
    modalua_config config;
    look l;
    CHECK(modalua_overdue(NULL) == -HUGE_VAL);
    modalua_config_init(&config);
    l = looked(&config, "print()", MODALUA_OK, 0, false); /* no limit, no cancel */
    CHECK(l.seen == -HUGE_VAL);
    config.grace_seconds = 1000;
    l = looked(&config, "print() while true do end", MODALUA_E_CANCELLED, 1, false);
    CHECK(between(-1001, l.seen, -900));
    l = looked(&config, "print() while true do end", MODALUA_E_CANCELLED, 2, true);
    CHECK(between(0, l.seen, 100));
    config.grace_seconds = 0.05;
    l = looked(&config, "print() while true do end", MODALUA_E_CANCELLED, 1, true);
    CHECK(between(0, l.seen, 100));
    config.run_seconds = 1000;
    config.grace_seconds = 2000; /* the earlier of the two deadlines counts */
    l = looked(&config, "print() while true do end", MODALUA_E_CANCELLED, 1, false);
    CHECK(between(-1001, l.first, -900) && between(-1001, l.seen, -900));
    config.run_seconds = 1;
    l = looked(&config, "print() while true do end", MODALUA_E_LIMIT, 0, true);
    CHECK(between(-1.01, l.first, 0) && between(0, l.seen, 100));
}

static void test_overdue_burst(void)
{
    modalua_config config;
    look l;
    modalua_config_init(&config);
    config.burst_seconds = 1000;
    l = looked(&config, "print()", MODALUA_OK, 0, false);
    CHECK(between(-1001, l.seen, -900));
    l = looked(&config, "look()", MODALUA_OK, 0, false); /* time in the host does not count */
    CHECK(l.seen == -HUGE_VAL);
    config.burst_seconds = 0.5;
    l = looked(&config, "print() while true do end", MODALUA_E_LIMIT, 0, true);
    CHECK(between(0, l.seen, 100));
    l = looked(&config, "require 'modalua.task'.spawn(look) require 'modalua.task'.sleep(0.6)",
               MODALUA_OK, 0, false);
    CHECK(l.seen == -HUGE_VAL);
}

/* ---- what the limits count ---- */

static void answer_at_once(void *user, const char *arguments, modalua_reply *reply)
{
    (void)user;
    (void)arguments;
    CHECK(modalua_reply_text(reply, "return 1", 8) == MODALUA_OK);
}

static double now_in(modalua_runtime *rt)
{
    const char *json;
    CHECK(modalua_call(rt, "modalua.task.now", NULL, &json) == MODALUA_OK);
    return atof(json);
}

/* A call of a host function does not count as a wait, else a loop of such calls would have no limit.
 * But the time that it takes does not count as time of the script. */
static void stay(void *user, const char *arguments, modalua_reply *reply)
{
    modalua_runtime *other = user;
    double end = now_in(other) + 0.6;
    (void)arguments;
    while (now_in(other) < end)
        ;
    CHECK(modalua_reply_json(reply, "1") == MODALUA_OK);
}

static void test_bursts(void)
{
    modalua_config config = watched();
    modalua_runtime *rt;
    config.burst_seconds = 0.5;
    config.search = answer_at_once;
    rt = make(&config);
    CHECK(modalua_register(rt, "at_once", answer_at_once, NULL) == MODALUA_OK);
    CHECK(modalua_register(rt, "stay", stay, judge) == MODALUA_OK);
    CHECK(run(rt, "while true do at_once() end") == MODALUA_E_LIMIT);
    CHECK(strstr(modalua_last_error(rt), "without a wait"));
    CHECK(run(rt, "for i = 1, math.huge do require('m' .. i) end") == MODALUA_E_LIMIT);
    CHECK(strstr(modalua_last_error(rt), "without a wait"));
    pass(rt, "assert(stay() == 1 and ('x'):gsub('x', stay) == '1')");
    modalua_destroy(rt);
}

/* ---- the environment ---- */

static void test_environment(void)
{
    static const char ask[] = /* the error shows whether http_proxy is used: no proxy runs */
        "code = select(2, require 'modalua'.connect{retries = 0}:get '/').code";
    modalua_config config = watched();
    modalua_runtime *rt;
    const char *json;
    CHECK(setenv("http_proxy", "http://127.0.0.1:1", 1) == 0 && unsetenv("no_proxy") == 0);
    config.url = "http://nosuch.invalid";
    CHECK(setenv("LUA_PATH", "/elsewhere/?.lua", 1) == 0);
    CHECK(setenv("LUA_CPATH_5_4", "/elsewhere/?.so", 1) == 0);
    rt = make(&config);
    pass(rt, "assert(not (package.path .. package.cpath):find 'elsewhere')");
    pass(rt, ask);
    CHECK(modalua_get_global(rt, "code", &json) == MODALUA_OK &&
          strcmp(json, "\"host_not_found\"") == 0);
    modalua_destroy(rt);
    config.flags = MODALUA_ENVIRONMENT;
    rt = make(&config);
    pass(rt, "assert(package.path == '/elsewhere/?.lua' and package.cpath == '/elsewhere/?.so')");
    pass(rt, ask);
    CHECK(modalua_get_global(rt, "code", &json) == MODALUA_OK &&
          strcmp(json, "\"no_connection\"") == 0);
    modalua_destroy(rt);
    CHECK(strcmp(getenv("LUA_PATH"), "/elsewhere/?.lua") == 0);
}

/* A proxy that libcurl does not take, with a password: no text that the host gets has it. */
static void test_secret_proxy(void)
{
    static const char *const variables[] = { "http_proxy", "all_proxy" };
    modalua_config config = watched();
    config.flags = MODALUA_ENVIRONMENT;
    config.url = "http://nosuch.invalid";
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
        output logged = { 0 };
        modalua_runtime *rt;
        CHECK(unsetenv("http_proxy") == 0);
        CHECK(setenv(variables[i], "http://u:hun/ter2@127.0.0.1:x", 1) == 0);
        config.log = collect;
        config.user = &logged;
        rt = make(&config);
        CHECK(run(rt, "assert(require 'modalua'.connect():get '/')") == MODALUA_E_SCRIPT);
        CHECK(strstr(modalua_last_error(rt), variables[i]));
        CHECK(strstr(logged.text, variables[i]));
        CHECK(!strstr(modalua_last_error(rt), "ter2"));
        CHECK(!strstr(modalua_last_error_json(rt), "ter2"));
        CHECK(!strstr(logged.text, "ter2"));
        modalua_destroy(rt);
        CHECK(unsetenv(variables[i]) == 0);
    }
}

int main(void)
{
    judge = make(NULL);
    test_statuses();
    test_values();
    test_places();
    test_memory();
    test_memory_of_operations();
    test_places_of_limits();
    test_traceback_of_calls();
    test_overdue();
    test_overdue_burst();
    test_bursts();
    test_environment();
    test_secret_proxy();
    modalua_destroy(judge);
    return 0;
}
