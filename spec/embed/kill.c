/* kill.c - what no script outlives, inside one process: each of spec/support/escapes.lua is ended by
 * a time limit, and by two cancels from another thread, and afterwards the runtime is as good as
 * new. */
#define _POSIX_C_SOURCE 200809L

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "runs.h"

enum { LONGEST_SECONDS = 20 };

/* ---- the list ---- */

/* A runtime that has read it. */
static modalua_runtime *read_escapes(void)
{
    static const char code[] = "local list = dofile '" ESCAPES "'\n"
                               "count = #list\n"
                               "function code(i) return list[i][2] end\n"
                               "function name(i) return list[i][1] end\n"
                               "function ends_alone(i) return list[i].refused == true end\n"
                               "function is_deaf(i) return list[i].deaf == true end\n";
    modalua_runtime *book = make(NULL);
    CHECK(run(book, code) == MODALUA_OK);
    return book;
}

static const char *ask(modalua_runtime *book, const char *function, int i)
{
    char number[16];
    const char *json = NULL;
    snprintf(number, sizeof number, "%d", i);
    CHECK(modalua_call(book, function, number, &json) == MODALUA_OK && json);
    return json;
}

static bool holds(modalua_runtime *book, const char *function, int i)
{
    return strcmp(ask(book, function, i), "true") == 0;
}

/* ---- one of them ---- */

/* Cancels twice, a tenth of a second from now. */
static void *cancel_twice(void *rt)
{
    const struct timespec pause = { 0, 100000000 };
    nanosleep(&pause, NULL);
    modalua_cancel(rt);
    modalua_cancel(rt);
    return NULL;
}

/* Nothing is left of the run before: neither its kill, nor a task, nor a broken library. */
static void check_usable(modalua_runtime *rt)
{
    static const char code[] =
        "local task = require 'modalua.task'\n"
        "assert(task.spawn(function() task.sleep(0.001) return 1 end):join() == 1)\n"
        "assert(select('#', pcall(error)) == 2)\n"
        "assert(select(2, xpcall(error, function(m) return m .. '!' end, 'x', 0)) == 'x!')\n"
        "assert(coroutine.wrap(function() return 2 end)() == 2)\n"
        "local closed = false\n"
        "do local x <close> = setmetatable({}, {__close = function() closed = true end}) end\n"
        "assert(closed)\n";
    int status = run(rt, code);
    if (status != MODALUA_OK)
        fprintf(stderr, "%s\n", modalua_last_error(rt));
    CHECK(status == MODALUA_OK);
}

/* `expected` is how those end that do not end by themselves. */
static void try_one(modalua_runtime *rt, modalua_runtime *book, int i, int expected)
{
    static const char code[] = "assert(load(code))()";
    pthread_t thread;
    double before = now();
    bool cancels = expected == MODALUA_E_CANCELLED;
    int status;
    CHECK(modalua_set_global(rt, "code", ask(book, "code", i)) == MODALUA_OK);
    if (cancels)
        CHECK(pthread_create(&thread, NULL, cancel_twice, rt) == 0);
    status = run(rt, code);
    if (cancels)
        CHECK(pthread_join(thread, NULL) == 0);
    if (holds(book, "ends_alone", i) && status == MODALUA_E_SCRIPT)
        status = expected;
    if (status != expected)
        fprintf(stderr, "%s: %s: %s\n", ask(book, "name", i), modalua_strerror(status),
                modalua_last_error(rt));
    CHECK(status == expected);
    CHECK(now() - before < LONGEST_SECONDS);
    CHECK(modalua_overdue(rt) < 0);
    check_usable(rt);
}

static void try_all(const modalua_config *config, modalua_runtime *book, int expected)
{
    modalua_runtime *rt = make(config);
    const char *count;
    CHECK(modalua_get_global(book, "count", &count) == MODALUA_OK);
    for (int i = 1, n = atoi(count); i <= n; i++)
        if (!holds(book, "is_deaf", i))
            try_one(rt, book, i, expected);
    modalua_destroy(rt);
}

/* At the limit of its memory every allocation begins with a collection of everything, and the tasks
 * that a turn is made of are each too short for the hook. */
static void try_full(modalua_config config)
{
    static const char code[] =
        "local task = require 'modalua.task'\n"
        "local function bomb() while true do pcall(task.spawn, bomb) task.sleep(0) end end\n"
        "bomb()\n";
    modalua_runtime *rt;
    double before;
    config.run_seconds = 1;
    config.memory_limit = 64000000;
    rt = make(&config);
    before = now();
    CHECK(run(rt, code) == MODALUA_E_LIMIT);
    CHECK(now() - before < LONGEST_SECONDS);
    check_usable(rt);
    modalua_destroy(rt);
}

static void cancel_at_once(void *rt, const char *text, size_t size)
{
    (void)text;
    (void)size;
    modalua_cancel(*(modalua_runtime **)rt);
    modalua_cancel(*(modalua_runtime **)rt);
}

/* A refused allocation costs a collection of everything, a second where the limit is high: the kill
 * lands at the first, not when the hook has counted. */
static void try_refused(modalua_config config)
{
    static const char code[] = "local full = {}\n"
                               "refused = 0\n"
                               "pcall(function() for i = 1, 1e9 do full[i] = {} end end)\n"
                               "print()\n"
                               "while true do\n"
                               "  refused = refused + 1\n"
                               "  pcall(string.rep, 'x', 1 << 25)\n"
                               "end\n";
    modalua_runtime *rt = NULL;
    const char *refused;
    config.memory_limit = 8000000;
    config.write = cancel_at_once;
    config.user = &rt;
    rt = make(&config);
    CHECK(run(rt, code) == MODALUA_E_CANCELLED);
    CHECK(modalua_get_global(rt, "refused", &refused) == MODALUA_OK);
    CHECK(atoi(refused) <= 1);
    check_usable(rt);
    modalua_destroy(rt);
}

int main(void)
{
    modalua_config config;
    modalua_runtime *book = read_escapes();
    modalua_config_init(&config);
    config.flags = MODALUA_SANDBOX;
    config.run_seconds = 0.1;
    try_all(&config, book, MODALUA_E_LIMIT);
    try_full(config);
    config.run_seconds = 0;
    config.grace_seconds = 0.1;
    try_all(&config, book, MODALUA_E_CANCELLED);
    try_refused(config);
    modalua_destroy(book);
    return 0;
}
