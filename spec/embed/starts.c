/* starts.c - how runs begin, and what they return: files that would have to be waited for, errors that a
 * function returns, a cancel before the run, hundreds of descriptors, little stack. The argument is the
 * URL of the fault server. */
#define _GNU_SOURCE

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runs.h"

/* ---- files ---- */

static void check_refused(modalua_runtime *rt, const char *path)
{
    CHECK(modalua_start_file(rt, path, 0, NULL, NULL, NULL) == MODALUA_E_FILE);
    CHECK(strstr(modalua_last_error(rt), "not a regular file"));
    CHECK(strstr(modalua_last_error_json(rt), "\"kind\":\"file\""));
    CHECK(modalua_step(rt, 0) == MODALUA_OK); /* no run has begun */
}

static void write_script(int fd)
{
    static const char script[] = "#!/usr/bin/lua\nn = (n or 0) + #arg_count_of(...)";
    CHECK(write(fd, script, sizeof script - 1) == (ssize_t)sizeof script - 1);
}

static void *write_pipe(void *path)
{
    int fd = open(path, O_WRONLY);
    CHECK(fd >= 0);
    write_script(fd);
    close(fd);
    return NULL;
}

/* A pipe that no other process writes to: modalua_start_file returns at once. modalua_run_file, which
 * blocks, reads pipes. */
static void test_files(void)
{
    char folder[] = "/tmp/modalua-starts-XXXXXX", fifo[64], file[64];
    static const char *const one[] = { "x" };
    modalua_config config = watched();
    modalua_runtime *rt = make(&config);
    int ends[2], input = dup(STDIN_FILENO), fd;
    pthread_t writer;
    CHECK(mkdtemp(folder) && pipe(ends) == 0);
    snprintf(fifo, sizeof fifo, "%s/fifo", folder);
    snprintf(file, sizeof file, "%s/file", folder);
    CHECK(mkfifo(fifo, 0600) == 0);
    pass(rt, "function arg_count_of(...) return table.pack(...) end");
    check_refused(rt, fifo);
    check_refused(rt, folder);
    CHECK(dup2(ends[0], STDIN_FILENO) == STDIN_FILENO);
    check_refused(rt, NULL);
    CHECK(pthread_create(&writer, NULL, write_pipe, fifo) == 0);
    CHECK(modalua_run_file(rt, fifo, 0, NULL) == MODALUA_OK);
    CHECK(pthread_join(writer, NULL) == 0);
    fd = open(file, O_RDWR | O_CREAT, 0600);
    CHECK(fd >= 0);
    write_script(fd);
    CHECK(modalua_start_file(rt, file, 1, one, NULL, NULL) == MODALUA_OK);
    CHECK(finish(rt) == MODALUA_OK);
    CHECK(lseek(fd, 0, SEEK_SET) == 0 && dup2(fd, STDIN_FILENO) == STDIN_FILENO);
    CHECK(modalua_start_file(rt, NULL, 1, one, NULL, NULL) == MODALUA_OK);
    CHECK(finish(rt) == MODALUA_OK);
    pass(rt, "assert(n == 2)");
    CHECK(modalua_start_file(rt, "/nosuch.lua", 0, NULL, NULL, NULL) == MODALUA_E_FILE);
    CHECK(strstr(modalua_last_error(rt), "/nosuch.lua"));
    CHECK(dup2(input, STDIN_FILENO) == STDIN_FILENO);
    close(input);
    close(fd);
    close(ends[0]);
    close(ends[1]);
    CHECK(unlink(fifo) == 0 && unlink(file) == 0 && rmdir(folder) == 0);
    modalua_destroy(rt);
}

/* ---- errors that a function returns ---- */

static void test_returned_errors(void)
{
    static const char *const failures[][2] = {
        { "return nil, err()", "\"code\":\"no_connection\"" },
        { "return false, err()", "\"code\":\"no_connection\"" },
        { "require 'modalua.task'.sleep(0.01) return nil, err()", "\"kind\":\"network\"" },
        { "return nil, 'no such thing', 7", "\"message\":\"no such thing\"" },
        { "return nil, 42", "\"message\":\"42\"" },
        { "return nil, false", "\"modalua_status\":-3" },
        { "return nil, {}", "\"modalua_status\":-3" },
    };
    static const char *const successes[][2] = {
        { "return nil, nil", NULL },        { "return false, 'text'", "false" },
        { "return false", "false" },        { "return 1, err()", "1" },
        { "return nil, nil, err()", NULL }, { "", NULL },
    };
    modalua_runtime *rt = make(NULL);
    const char *json;
    char code[200];
    pass(rt, "local server = require 'modalua'.connect('http://127.0.0.1:1', {retries = 0})\n"
             "function err() return select(2, server:get '/') end");
    for (size_t i = 0; i < sizeof failures / sizeof *failures; i++) {
        snprintf(code, sizeof code, "function f() %s end", failures[i][0]);
        pass(rt, code);
        CHECK(modalua_call(rt, "f", NULL, &json) == MODALUA_E_SCRIPT && !json);
        CHECK(!modalua_result(rt));
        CHECK(strstr(modalua_last_error_json(rt), failures[i][1]));
    }
    for (size_t i = 0; i < sizeof successes / sizeof *successes; i++) {
        snprintf(code, sizeof code, "function f() %s end", successes[i][0]);
        pass(rt, code);
        CHECK(modalua_call(rt, "f", NULL, &json) == MODALUA_OK);
        CHECK(successes[i][1] ? json && strcmp(json, successes[i][1]) == 0 : !json);
    }
    modalua_destroy(rt);
}

/* ---- a cancel before the run ---- */

static void test_sticky_cancel(void)
{
    modalua_config config = watched();
    modalua_runtime *rt;
    config.grace_seconds = 1000;
    rt = make(&config);
    modalua_cancel(rt); /* without a run it has no effect */
    pass(rt, "ran = 1");
    modalua_cancel_sticky(rt);
    CHECK(run(rt, "no script") == MODALUA_E_SYNTAX); /* it has not started, so the cancel is kept */
    CHECK(start(rt, "ran = 2") == MODALUA_OK);
    CHECK(modalua_overdue(rt) > -1001 && modalua_overdue(rt) < 0); /* the grace period has begun */
    CHECK(finish(rt) == MODALUA_E_CANCELLED);
    pass(rt, "assert(ran == 1)");
    modalua_cancel_sticky(rt);
    modalua_cancel_sticky(rt); /* kills */
    CHECK(start(rt, "ran = 2") == MODALUA_OK && modalua_overdue(rt) >= 0);
    CHECK(finish(rt) == MODALUA_E_CANCELLED);
    CHECK(start(rt, "require 'modalua.task'.sleep(60)") == MODALUA_OK);
    CHECK(modalua_step(rt, 0) == MODALUA_WORKING);
    modalua_cancel_sticky(rt); /* during a run it is a cancel of that run */
    CHECK(finish(rt) == MODALUA_E_CANCELLED);
    pass(rt, "assert(ran == 1)");
    modalua_cancel_sticky(NULL);
    modalua_destroy(rt);
}

/* ---- descriptors above 1023 ---- */

enum { MANY = 1100 };

/* A host with its own loop, which has more than a thousand descriptors: it gets all descriptors of the
 * run, and is not told to look again every few milliseconds. */
static void test_many_descriptors(const char *url)
{
    static int taken[MANY];
    struct rlimit limit;
    struct pollfd fds[16];
    char code[200];
    modalua_runtime *rt;
    int wait_ms, n, high = 0, status;
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max > MANY + 100);
    limit.rlim_cur = MANY + 100;
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    for (int i = 0; i < MANY; i++)
        CHECK((taken[i] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0);
    rt = make(NULL);
    snprintf(code, sizeof code, "assert(require 'modalua'.connect '%s':get('/delay', {s = 0.3}))",
             url);
    CHECK(start(rt, code) == MODALUA_OK);
    do {
        n = modalua_fds(rt, fds, 16, &wait_ms);
        CHECK(n >= 1);
        for (int i = 0; i < n; i++)
            CHECK(fds[i].fd > 1023);
        high += n >= 2 && wait_ms > 100; /* not the 10 ms of an unknown descriptor */
        CHECK(poll(fds, (nfds_t)n, wait_ms) >= 0);
        status = modalua_step(rt, 0);
    } while (status == MODALUA_WORKING);
    CHECK(status == MODALUA_OK && high > 0);
    CHECK(run(rt, code) == MODALUA_OK);
    modalua_destroy(rt);
    for (int i = 0; i < MANY; i++)
        close(taken[i]);
}

/* ---- little stack ---- */

/* A sanitizer makes the frames larger. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { STACK = 16 << 20 };
#else
enum { STACK = 512 << 10 };
#endif

/* The deepest calls that Lua allows: each ends in an error, or with the limit of the run. */
static void *nest(void *url)
{
    static const char *const scripts[] = {
        "local function f() return (('x'):gsub('x', f)) end pcall(f)",
        "local t t = setmetatable({}, {__tostring = function() return string.format('%s', t) "
        "end})\n"
        "pcall(tostring, t)",
        "local t t = setmetatable({}, {__index = function() return table.concat(t, ',', 1, 3) "
        "end})\n"
        "pcall(table.concat, t, ',', 1, 3)",
        "local function f(a, b) table.sort({2, 1, 3}, f) return a < b end pcall(f, 1, 2)",
        "local function f() return (('x'):gsub('x', coroutine.wrap(f))) end pcall(f)",
        "local json, t = require 'modalua.json', {} for i = 1, 150 do t = {t} end\n"
        "json.decode(json.encode(t))",
        "load('return ' .. ('('):rep(190) .. '1' .. (')'):rep(190))",
        "local file = os.tmpname() assert(require "
        "'modalua'.connect():download('/big?bytes=100000', "
        "file)) os.remove(file)",
    };
    modalua_config config = watched();
    modalua_runtime *rt;
    config.url = url;
    rt = make(&config);
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++)
        pass(rt, scripts[i]);
    CHECK(run(rt, "local function f() return (('x'):gsub('x', f)) end f()") == MODALUA_E_SCRIPT);
    modalua_destroy(rt);
    return NULL;
}

static void test_stack(char *url)
{
    pthread_attr_t attributes;
    pthread_t thread;
    CHECK(pthread_attr_init(&attributes) == 0);
    CHECK(pthread_attr_setstacksize(&attributes, STACK) == 0);
    CHECK(pthread_create(&thread, &attributes, nest, url) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(pthread_attr_destroy(&attributes) == 0);
}

int main(int argc, char **argv)
{
    CHECK(argc == 2);
    test_files();
    test_returned_errors();
    test_sticky_cancel();
    test_many_descriptors(argv[1]);
    test_stack(argv[1]);
    return 0;
}
