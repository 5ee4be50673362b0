/* embed.c - tests modalua.h as a host uses it: create, run, start and step, cancel, limits, errors.
 * The argument is the URL of the fault server. */
#define _POSIX_C_SOURCE 200809L

#include <locale.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "runs.h"

/* What would go on for ever, or for a minute, ends sooner than that, on a busy machine too. */
enum { LONGEST_SECONDS = 30 };

/* ---- output, errors, exit ---- */

static void test_output(void)
{
    modalua_config config;
    output o = { "", 0 };
    modalua_runtime *rt;
    modalua_config_init(&config);
    config.write = collect;
    config.user = &o;
    rt = make(&config);
    CHECK(run(rt, "print(1, 'x', nil) print()") == MODALUA_OK);
    CHECK(strcmp(o.text, "1\tx\tnil\n\n") == 0);
    CHECK(modalua_last_error(rt)[0] == '\0');
    modalua_destroy(rt);
    rt = make(NULL); /* without config.write, output is discarded */
    CHECK(run(rt, "print 'lost'") == MODALUA_OK);
    modalua_destroy(rt);
}

static void test_errors(void)
{
    modalua_runtime *rt = make(NULL);
    CHECK(run(rt, "x =") == MODALUA_E_SYNTAX);
    CHECK(strstr(modalua_last_error(rt), "test:1:"));
    CHECK(run(rt, "\n error 'boom'") == MODALUA_E_SCRIPT);
    CHECK(strncmp(modalua_last_error(rt), "test:2: boom\nstack traceback:", 29) == 0);
    CHECK(run(rt, "os.exit(42)") == MODALUA_EXIT && modalua_exit_code(rt) == 42);
    CHECK(strcmp(modalua_last_error(rt), "the script called os.exit") == 0);
    CHECK(strstr(modalua_last_error_json(rt), "\"kind\":\"exit\""));
    CHECK(run(rt, "return 1") == MODALUA_OK && modalua_exit_code(rt) == 0);
    CHECK(modalua_run_file(rt, "/nosuch.lua", 0, NULL) == MODALUA_E_FILE);
    CHECK(strstr(modalua_last_error(rt), "/nosuch.lua"));
    CHECK(run(rt, "require 'modalua.task'.spawn(error, 'child', 0)") == MODALUA_E_SCRIPT);
    CHECK(strcmp(modalua_last_error(rt), "child") == 0);
    CHECK(modalua_run_string(rt, NULL, "", 0) == MODALUA_E_INVALID);
    CHECK(modalua_run_string(NULL, "=x", "", 0) == MODALUA_E_INVALID);
    CHECK(modalua_step(rt, 0) == MODALUA_OK);
    CHECK(strcmp(modalua_version(), MODALUA_VERSION) == 0);
    modalua_cancel(NULL);
    modalua_config_init(NULL);
    CHECK(modalua_exit_code(NULL) == 0 && modalua_last_error(NULL)[0] == '\0');
    CHECK(modalua_set_arg(rt, 0, NULL, 5) == MODALUA_E_INVALID);
    for (int status = MODALUA_EXIT; status <= MODALUA_WORKING; status++)
        CHECK(strcmp(modalua_strerror(status), "unknown status") != 0);
    modalua_destroy(rt);
    modalua_destroy(NULL);
}

/* A locale with a decimal comma has no effect on scripts. After a run, the locale of the thread is
 * the one before. */
static void test_locale(void)
{
    modalua_runtime *rt;
    locale_t before = uselocale((locale_t)0);
    CHECK(setlocale(LC_NUMERIC,
                    "de_DE.UTF-8")); /* the build makes this locale; LOCPATH names its folder */
    rt = make(NULL);
    CHECK(run(rt, "assert(tostring(1.5) == '1.5') assert(tonumber('1.5') == 1.5)"
                  "local json = require 'modalua.json' assert(json.encode{1.5} == '[1.5]') "
                  "assert(json.decode'[1.5]'[1] == 1.5)") == MODALUA_OK);
    modalua_destroy(rt);
    CHECK(uselocale((locale_t)0) == before);
    setlocale(LC_NUMERIC, "C");
}

/* ---- another thread ---- */

typedef struct canceller {
    modalua_runtime *rt;
    int times;
    atomic_bool started;
    double last; /* when it has cancelled */
} canceller;

/* Long enough after the start for the wait that libcurl's timers no longer shorten, of 0.2 s. */
static void *cancel_later(void *user)
{
    canceller *c = user;
    const struct timespec look = { 0, 10000000 }, pause = { 0, 300000000 };
    while (!atomic_load(&c->started))
        nanosleep(&look, NULL);
    for (int i = 0; i < c->times; i++) {
        nanosleep(&pause, NULL);
        c->last = now();
        modalua_cancel(c->rt);
    }
    return NULL;
}

/* ---- start and step ---- */

static void count_done(void *user, modalua_runtime *rt, int status)
{
    (void)rt;
    CHECK(status == MODALUA_OK);
    ++*(int *)user;
}

static void test_step(const char *url)
{
    char code[400];
    int done = 0, steps = 0, status;
    modalua_runtime *rt = make(NULL);
    snprintf(code, sizeof code,
             "local m, task = require 'modalua', require 'modalua.task'\n"
             "local c = m.connect '%s'\n"
             "for i = 1, 4 do task.spawn(function() assert(c:get('/delay', {s = 0.05})) end) end",
             url);
    CHECK(modalua_start_string(rt, "=test", code, strlen(code), count_done, &done) == MODALUA_OK);
    CHECK(modalua_start_string(rt, "=test", "", 0, NULL, NULL) == MODALUA_E_BUSY);
    CHECK(run(rt, "") == MODALUA_E_BUSY);
    while ((status = modalua_step(rt, 10)) == MODALUA_WORKING)
        CHECK(++steps < 10000);
    CHECK(status == MODALUA_OK && done == 1 && steps > 1);
    CHECK(modalua_step(rt, 0) == MODALUA_OK && done == 1);
    modalua_destroy(rt);
}

enum { ROOM = 32, LONG_WAIT_MS = 900 };

/* Drives the run with poll() only. Returns the status of the run. Counts the steps in *steps, and in
 * *slept the long waits that ended only because their time was over. */
static int drive(modalua_runtime *rt, int room, int *steps, int *slept)
{
    struct pollfd fds[ROOM];
    int status, wait_ms, n;
    *slept = 0;
    for (*steps = 0; *steps < 10000; ++*steps) {
        n = modalua_fds(rt, fds, room, &wait_ms);
        CHECK(n >= 0 && n <= room && wait_ms >= 0 && wait_ms <= 2000);
        *slept += poll(fds, (nfds_t)n, wait_ms) == 0 && wait_ms > LONG_WAIT_MS;
        status = modalua_step(rt, 0);
        if (status != MODALUA_WORKING)
            return status;
    }
    return MODALUA_WORKING;
}

/* Another thread cancels a run that would wait for ever. */
static void drive_to_cancel(modalua_runtime *rt, const char *code, int *slept)
{
    canceller c = { rt, 1, true, 0 };
    pthread_t thread;
    int steps;
    CHECK(modalua_start_string(rt, "=test", code, strlen(code), NULL, NULL) == MODALUA_OK);
    CHECK(pthread_create(&thread, NULL, cancel_later, &c) == 0);
    CHECK(drive(rt, ROOM, &steps, slept) == MODALUA_E_CANCELLED && steps < 100);
    CHECK(pthread_join(thread, NULL) == 0);
}

/* The host's own loop sleeps while nothing happens. It wakes up at once for an answer, a timer, and
 * a cancel from another thread. */
static void test_fds(const char *url)
{
    enum { CANCELS = 5 };
    char code[400];
    struct pollfd fds[ROOM];
    int steps, slept, wait_ms = 0, all_slept = 0;
    modalua_runtime *rt = make(NULL);
    CHECK(modalua_fds(rt, fds, ROOM, &wait_ms) == 0 && wait_ms == -1);
    CHECK(modalua_fds(rt, NULL, 1, &wait_ms) == MODALUA_E_INVALID);
    CHECK(modalua_fds(NULL, fds, 1, &wait_ms) == MODALUA_E_INVALID);
    snprintf(code, sizeof code,
             "local m, task = require 'modalua', require 'modalua.task'\n"
             "local c = m.connect '%s'\n"
             "for i = 1, 5 do assert(c:get('/delay', {s = 0.1})) task.sleep(0.01) end",
             url);
    for (int room = 0; room <= ROOM;
         room += ROOM) { /* without room for descriptors, wait_ms is short */
        CHECK(modalua_start_string(rt, "=test", code, strlen(code), NULL, NULL) == MODALUA_OK);
        CHECK(drive(rt, room, &steps, &slept) == MODALUA_OK);
        CHECK(slept < 3); /* of ten waits; a busy machine may be late for one */
    }
    CHECK(steps < 100);
    snprintf(code, sizeof code, "require 'modalua'.connect '%s':get '/hang'", url);
    for (int i = 0; i < CANCELS; i++, all_slept += slept)
        drive_to_cancel(rt, code, &slept);
    CHECK(all_slept < CANCELS);
    modalua_destroy(rt);
}

/* Destroying a runtime during a run unwinds its tasks. */
static void test_destroy(void)
{
    static const char code[] = "local task = require 'modalua.task'\n"
                               "task.spawn(function() local t <close> = setmetatable({}, {__close "
                               "= function() print 'closed' end})\n"
                               "task.sleep(60) end) task.sleep(60)";
    output o = { "", 0 };
    modalua_config config;
    modalua_runtime *rt;
    modalua_config_init(&config);
    config.write = collect;
    config.user = &o;
    rt = make(&config);
    CHECK(modalua_start_string(rt, "=test", code, strlen(code), NULL, NULL) == MODALUA_OK);
    CHECK(modalua_step(rt, 0) == MODALUA_WORKING && modalua_step(rt, 0) == MODALUA_WORKING);
    modalua_destroy(rt);
    CHECK(strcmp(o.text, "closed\n") == 0);
}

/* ---- what `done` may do ---- */

static void destroy_in_done(void *user, modalua_runtime *rt, int status)
{
    *(int *)user = status;
    modalua_destroy(rt);
}

static void start_in_done(void *user, modalua_runtime *rt, int status)
{
    *(int *)user = status;
    CHECK(modalua_start_string(rt, "=next", "next_run = true", 15, NULL, NULL) == MODALUA_OK);
}

static void test_done(void)
{
    static const char code[] = "error 'ended'";
    int seen = 0, status;
    modalua_runtime *rt = make(NULL);
    CHECK(modalua_start_string(rt, "=test", code, strlen(code), start_in_done, &seen) ==
          MODALUA_OK);
    while ((status = modalua_step(rt, -1)) == MODALUA_WORKING)
        ;
    CHECK(status == MODALUA_E_SCRIPT && seen == MODALUA_E_SCRIPT);
    while ((status = modalua_step(rt, -1)) == MODALUA_WORKING)
        ;
    CHECK(status == MODALUA_OK && run(rt, "assert(next_run)") == MODALUA_OK);
    CHECK(modalua_start_string(rt, "=test", code, strlen(code), destroy_in_done, &seen) ==
          MODALUA_OK);
    seen = 0;
    while ((status = modalua_step(rt, -1)) == MODALUA_WORKING)
        ;
    CHECK(status == MODALUA_E_SCRIPT && seen == MODALUA_E_SCRIPT);
}

static modalua_runtime *reentered;

static void reenter(void *user, const char *text, size_t size)
{
    (void)text;
    (void)size;
    CHECK(modalua_step(reentered, 0) == MODALUA_E_BUSY);
    CHECK(run(reentered, "") == MODALUA_E_BUSY);
    CHECK(modalua_set_arg(reentered, 0, NULL, 0) == MODALUA_E_BUSY);
    ++*(int *)user;
}

static void test_reentry(void)
{
    modalua_config config;
    int calls = 0;
    modalua_config_init(&config);
    config.write = reenter;
    config.user = &calls;
    reentered = make(&config);
    CHECK(run(reentered, "print 'x'") == MODALUA_OK && calls == 1);
    modalua_destroy(reentered);
}

/* The function returns, but a task that it started fails later: the call has failed. */
static void test_result_of_failure(modalua_runtime *rt)
{
    static const char code[] =
        "local task = require 'modalua.task'\n"
        "function early() task.spawn(function() task.sleep(0.01) error 'late' end) return 1 end";
    int status;
    CHECK(modalua_run_string(rt, "=test", code, strlen(code)) == MODALUA_OK);
    CHECK(modalua_start_call(rt, "early", NULL, NULL, NULL) == MODALUA_OK);
    do
        status = modalua_step(rt, -1);
    while (status == MODALUA_WORKING);
    CHECK(status == MODALUA_E_SCRIPT && !modalua_result(rt));
}

static void test_call(void)
{
    modalua_runtime *rt = make(NULL);
    const char *json;
    CHECK(run(rt,
              "function double(t) return {n = t.n * 2} end lib = {f = function() return nil end}"
              " function slow() require 'modalua.task'.sleep(0.01) return 'slept' end") ==
          MODALUA_OK);
    CHECK(modalua_call(rt, "double", "{\"n\": 21}", &json) == MODALUA_OK &&
          strcmp(json, "{\"n\":42}") == 0);
    CHECK(modalua_call(rt, "lib.f", NULL, &json) == MODALUA_OK && !json);
    CHECK(modalua_call(rt, "slow", NULL, &json) == MODALUA_OK && strcmp(json, "\"slept\"") == 0);
    CHECK(modalua_call(rt, "modalua.json.encode", "[1]", &json) == MODALUA_OK &&
          strcmp(json, "\"[1]\"") == 0);
    CHECK(modalua_call(rt, "nosuch", NULL, &json) == MODALUA_E_SCRIPT && !json);
    CHECK(modalua_call(rt, "double", "{", NULL) == MODALUA_E_SCRIPT);
    CHECK(modalua_call(rt, "double", "{\"n\": \"x\"}", NULL) == MODALUA_E_SCRIPT);
    CHECK(modalua_start_call(rt, "slow", NULL, NULL, NULL) == MODALUA_OK && !modalua_result(rt));
    while (modalua_step(rt, -1) == MODALUA_WORKING)
        ;
    CHECK(strcmp(modalua_result(rt), "\"slept\"") == 0 && !modalua_result(NULL));
    test_result_of_failure(rt);
    modalua_destroy(rt);
}

/* ---- stopping ---- */

static void mark_started(void *user, const char *text, size_t size)
{
    (void)text;
    (void)size;
    atomic_store((atomic_bool *)user, true);
}

/* Cancels a script from another thread. The script prints when it has reached the place where it
 * must be stopped. Returns the seconds that it continued after the cancel. */
static double stop_from_thread(const char *code, unsigned flags, int times)
{
    modalua_config config;
    canceller c = { NULL, times, false, 0 };
    pthread_t thread;
    double ended, seconds;
    modalua_config_init(&config);
    config.write = mark_started;
    config.user = &c.started;
    config.flags = flags;
    c.rt = make(&config);
    CHECK(pthread_create(&thread, NULL, cancel_later, &c) == 0);
    CHECK(run(c.rt, code) == MODALUA_E_CANCELLED);
    ended = now();
    CHECK(pthread_join(thread, NULL) == 0);
    seconds = ended - c.last;
    CHECK(strcmp(modalua_last_error(c.rt), "cancelled") == 0);
    CHECK(run(c.rt, "assert(require 'modalua.task'.spawn(function() return 1 end):join() == 1)") ==
          MODALUA_OK);
    modalua_destroy(c.rt);
    return seconds;
}

static void test_cancel(const char *url)
{
    enum { WAITS = 5 };
    char code[400];
    modalua_runtime *rt = make(NULL);
    clock_t cpu;
    double waited = 0;
    modalua_cancel(rt); /* without a run: no effect, and the next run can still sleep */
    cpu = clock();
    CHECK(run(rt, "require 'modalua.task'.sleep(0.5)") == MODALUA_OK);
    CHECK((double)(clock() - cpu) / CLOCKS_PER_SEC < 0.2);
    modalua_destroy(rt);
    stop_from_thread("print() while true do end", 0, 1);
    stop_from_thread("print() while true do pcall(function() while true do end end) end", 0, 2);
    waited += stop_from_thread("print() require 'modalua.task'.sleep(60)", 0, 1);
    waited += stop_from_thread("print() require 'modalua.task'.sleep(60)", MODALUA_NO_HOOK, 1);
    waited += stop_from_thread("local task = require 'modalua.task' for i = 1, 100 do "
                               "task.spawn(task.sleep, 60) end task.sleep(0) print()",
                               0, 1);
    snprintf(code, sizeof code,
             "local c = require 'modalua'.connect '%s' print() c:post('/hang', {})", url);
    waited += stop_from_thread(code, 0, 1);
    snprintf(code, sizeof code,
             "local c = require 'modalua'.connect '%s' print() string.gsub('x', 'x', function() "
             "c:get '/hang' end)",
             url);
    waited += stop_from_thread(code, 0, 1);
    CHECK(waited < 0.4 * WAITS); /* a poll lasts a second: they were woken */
}

static void test_limits(void)
{
    modalua_config config;
    modalua_runtime *rt;
    double before;
    modalua_config_init(&config);
    config.run_seconds = 0.2;
    rt = make(&config);
    before = now();
    CHECK(run(rt, "while true do pcall(function() while true do end end) end") == MODALUA_E_LIMIT);
    CHECK(strstr(modalua_last_error(rt), "0.2 s"));
    CHECK(run(rt, "require 'modalua.task'.sleep(60)") == MODALUA_E_LIMIT);
    CHECK(now() - before < LONGEST_SECONDS);
    CHECK(run(rt, "assert(1)") == MODALUA_OK);
    modalua_destroy(rt);
    modalua_config_init(&config);
    config.burst_seconds = 0.5; /* a busy machine needs less than that for what is no wait */
    rt = make(&config);
    CHECK(run(rt, "require 'modalua.task'.sleep(0.8)") == MODALUA_OK);
    CHECK(run(rt, "while true do end") == MODALUA_E_LIMIT);
    CHECK(strstr(modalua_last_error(rt), "without a wait"));
    modalua_destroy(rt);
    rt = make(&config);
    CHECK(run(rt, "string.gsub('xxx', 'x', function() require 'modalua.task'.sleep(0.3) end)") ==
          MODALUA_OK);
    CHECK(
        run(rt,
            "local t = require 'modalua.task'.spawn(print) t:join() while true do t:join() end") ==
        MODALUA_E_LIMIT);
    modalua_destroy(rt);
    modalua_config_init(&config);
    config.run_seconds = 0.2;
    rt = make(&config);
    before = now();
    CHECK(run(rt, "error(setmetatable({}, {__tostring = function() while true do end end}))") ==
          MODALUA_E_SCRIPT);
    CHECK(now() - before < LONGEST_SECONDS);
    modalua_destroy(rt);
}

/* If a script catches the cancel and goes on, it is killed after the grace time. */
static void test_grace(void)
{
    modalua_config config;
    canceller c = { NULL, 1, false, 0 };
    pthread_t thread;
    double before;
    modalua_config_init(&config);
    config.write = mark_started;
    config.user = &c.started;
    config.grace_seconds = 0.1;
    c.rt = make(&config);
    CHECK(pthread_create(&thread, NULL, cancel_later, &c) == 0);
    before = now();
    CHECK(run(c.rt, "print() while true do pcall(function() while true do end end) end") ==
          MODALUA_E_CANCELLED);
    CHECK(now() - before < LONGEST_SECONDS);
    CHECK(pthread_join(thread, NULL) == 0);
    modalua_destroy(c.rt);
}

/* config.max_inflight limits the transfers to all servers and of all clients together. */
static void test_max_inflight(const char *url)
{
    char code[700];
    modalua_config config;
    modalua_runtime *rt;
    modalua_config_init(&config);
    config.max_inflight = 1;
    rt = make(&config);
    snprintf(code, sizeof code,
             "local m, task = require 'modalua', require 'modalua.task'\n"
             "local a, b = m.connect '%s', m.connect((('%s'):gsub('127.0.0.1', 'localhost')))\n"
             "a:post '/reset'\n"
             "local tasks = {}\n"
             "for i = 1, 6 do tasks[i] = task.spawn(function() assert((i %% 2 == 0 and a or "
             "b):get('/delay', {s = 0.02})) end) end\n"
             "for i = 1, 6 do tasks[i]:join() end\n"
             "local peak = a:get('/requests').peak assert(peak == 1, peak)",
             url, url);
    CHECK(run(rt, code) == MODALUA_OK);
    modalua_destroy(rt);
}

/* 9 MB of [{},{},…] would need 224 MB as tables. */
static void test_json_memory(void)
{
    static const char code[] = "local json = require 'modalua.json'\n"
                               "local text = '[' .. ('{},'):rep(3000000) .. '{}]'\n"
                               "local before = collectgarbage 'count'\n"
                               "local ok, err = pcall(json.decode, text)\n"
                               "assert(not ok and err.kind == 'limit', tostring(err))\n"
                               "assert(collectgarbage 'count' - before < 1024)\n"
                               "text = nil collectgarbage()\n"
                               "assert(#json.decode('[' .. ('{},'):rep(999) .. '{}]') == 1000)\n";
    modalua_config config;
    modalua_runtime *rt;
    modalua_config_init(&config);
    config.memory_limit = (size_t)64 << 20;
    rt = make(&config);
    CHECK(run(rt, code) == MODALUA_OK);
    CHECK(run(rt, "local t = {} while true do t[#t + 1] = {} end") == MODALUA_E_NOMEM);
    CHECK(run(rt, "assert(1)") == MODALUA_OK);
    modalua_destroy(rt);
}

/* config.memory_limit also counts the bodies of answers. */
static void test_body_memory(const char *url)
{
    char code[400];
    modalua_config config;
    modalua_runtime *rt;
    modalua_config_init(&config);
    config.memory_limit = (size_t)8 << 20;
    rt = make(&config);
    snprintf(code, sizeof code,
             "local c = require 'modalua'.connect '%s'\n"
             "local ok, err = pcall(c.get, c, '/big', {bytes = 20000000})\n"
             "assert(not ok and err.kind == 'limit' and err.path, tostring(err))\n"
             "assert(#c:get('/big', {bytes = 1000000}) == 1000000)",
             url);
    CHECK(run(rt, code) == MODALUA_OK);
    modalua_destroy(rt);
}

static void count_lines(void *user, const char *text, size_t size)
{
    CHECK(size > 0 && text[size - 1] != '\n');
    ++*(int *)user;
}

static void test_log(const char *url)
{
    char code[300];
    int lines = 0;
    modalua_config config;
    modalua_runtime *rt;
    modalua_config_init(&config);
    config.log = count_lines;
    config.user = &lines;
    config.url = url;
    rt = make(&config);
    snprintf(code, sizeof code,
             "local c = require 'modalua'.connect {retries = 0} c:get '/ok' c:get '/reset-now'");
    CHECK(run(rt, code) == MODALUA_OK && lines == 2);
    modalua_destroy(rt);
}

int main(int argc, char **argv)
{
    CHECK(argc == 2);
    test_output();
    test_errors();
    test_locale();
    test_step(argv[1]);
    test_fds(argv[1]);
    test_destroy();
    test_done();
    test_reentry();
    test_call();
    test_cancel(argv[1]);
    test_limits();
    test_grace();
    test_max_inflight(argv[1]);
    test_json_memory();
    test_body_memory(argv[1]);
    test_log(argv[1]);
    return 0;
}
