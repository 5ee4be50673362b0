/* kill.c - what no script outlives, inside one process: each of spec/support/escapes.lua is ended by
 * a time limit, and by two cancels from another thread, in time, and afterwards the runtime is as
 * good as new. Times are processor time, which a busy machine does not change. */
#define _POSIX_C_SOURCE 200809L

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "runs.h"

enum { LIMIT_MS = 100, PAUSE_MS = 50 };

/* Seconds: how late a kill may be, beside the C call under way; what <close> handlers have. */
#define LATE  0.1
#define GRACE 0.05

/* Seconds of processor time that this process has had. */
static double processor(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- the list ---- */

/* A runtime that has read it. */
static modalua_runtime *read_escapes(void)
{
    static const char code[] = "local list = dofile '" ESCAPES "'\n"
                               "count = #list\n"
                               "function code(i) return list[i][2] end\n"
                               "function name(i) return list[i][1] end\n"
                               "function cost(i) return list[i].cost end\n"
                               "function is_refused(i) return list[i].refused ~= nil end\n"
                               "function is_deaf(i) return list[i].deaf == true end\n";
    modalua_runtime *book = make(NULL);
    CHECK(run(book, code) == MODALUA_OK);
    return book;
}

/* JSON, or NULL for nil. */
static const char *ask(modalua_runtime *book, const char *function, int i)
{
    char number[16];
    const char *json = NULL;
    snprintf(number, sizeof number, "%d", i);
    CHECK(modalua_call(book, function, number, &json) == MODALUA_OK);
    return json;
}

static bool holds(modalua_runtime *book, const char *function, int i)
{
    return strcmp(ask(book, function, i), "true") == 0;
}

static int count_of(modalua_runtime *book)
{
    const char *count;
    CHECK(modalua_get_global(book, "count", &count) == MODALUA_OK);
    return atoi(count);
}

/* What such a script has left in the global `cost`, in seconds. */
static double cost_of(modalua_runtime *rt)
{
    const char *seconds;
    CHECK(modalua_get_global(rt, "cost", &seconds) == MODALUA_OK);
    return atof(seconds);
}

/* The processor time of the longest of the row's C calls; 0: it makes no long ones. */
static double row_cost(modalua_runtime *book, int i)
{
    const char *code = ask(book, "cost", i);
    modalua_runtime *rt;
    double cost;
    if (!code)
        return 0;
    rt = make(NULL);
    CHECK(modalua_set_global(rt, "code", code) == MODALUA_OK);
    pass(rt, "assert(load(code))()");
    cost = cost_of(rt);
    modalua_destroy(rt);
    return cost;
}

/* ---- runs that are killed ---- */

typedef struct canceller {
    modalua_runtime *rt;
    double due; /* when it cancelled, on the processor's clock */
} canceller;

static sem_t begun; /* the script has begun to do what it is about */

static void on_begun(void *user, const char *arguments, modalua_reply *reply)
{
    (void)user;
    (void)arguments;
    (void)reply;
    sem_post(&begun);
}

static void on_print(void *user, const char *text, size_t size)
{
    (void)user;
    (void)text;
    (void)size;
    sem_post(&begun);
}

static void *cancel_twice(void *user)
{
    const struct timespec pause = { 0, PAUSE_MS * 1000000 };
    canceller *c = user;
    sem_wait(&begun);
    nanosleep(&pause, NULL);
    c->due = processor();
    modalua_cancel(c->rt);
    modalua_cancel(c->rt);
    return NULL;
}

/* Runs the script, which is cancelled soon after it has begun. Sets *late to the processor time that
 * it took from then on. */
static int run_cancelled(modalua_runtime *rt, const char *script, double *late)
{
    canceller c = { .rt = rt };
    pthread_t thread;
    int status;
    double end;
    CHECK(sem_init(&begun, 0, 0) == 0);
    CHECK(pthread_create(&thread, NULL, cancel_twice, &c) == 0);
    status = run(rt, script);
    end = processor();
    sem_post(&begun); /* should it have failed before */
    CHECK(pthread_join(thread, NULL) == 0);
    sem_destroy(&begun);
    *late = end - c.due;
    return status;
}

/* Runs the script in a runtime with a time limit. Sets *late to the processor time that it took
 * beyond the limit. */
static int run_limited(modalua_runtime *rt, const char *script, double limit, double *late)
{
    double start = processor();
    int status = run(rt, script);
    *late = processor() - start - limit;
    return status;
}

/* Nothing is left of the run before: neither its kill, nor a task, nor a broken library. A busy
 * machine may give it no processor before a limit is over. */
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
    int status;
    CHECK(modalua_overdue(rt) < 0);
    do
        status = run(rt, code);
    while (status == MODALUA_E_LIMIT);
    if (status != MODALUA_OK)
        fprintf(stderr, "%s\n", modalua_last_error(rt));
    CHECK(status == MODALUA_OK);
}

static void check_late(const char *name, double late, double cost)
{
    if (late >= LATE + GRACE + 2 * cost)
        fprintf(stderr, "%s: killed %g s late; a call takes %g s\n", name, late, cost);
    CHECK(late < LATE + GRACE + 2 * cost);
}

/* ---- the escapes ---- */

static void check_status(modalua_runtime *rt, const char *name, int status, int expected)
{
    if (status != expected)
        fprintf(stderr, "%s: %s: %s\n", name, modalua_strerror(status), modalua_last_error(rt));
    CHECK(status == expected);
}

/* limit 0: the runtime has none, and the run is cancelled. */
static void try_one(modalua_runtime *rt, modalua_runtime *book, int i, double limit)
{
    double late, cost = row_cost(book, i);
    int status;
    CHECK(modalua_set_global(rt, "code", ask(book, "code", i)) == MODALUA_OK);
    if (limit > 0)
        status = run_limited(rt, "assert(load(code))()", limit, &late);
    else
        status = run_cancelled(
            rt, cost > 0 ? "assert(load(code))()" : "begun() assert(load(code))()", &late);
    check_status(rt, ask(book, "name", i), status,
                 limit > 0 ? MODALUA_E_LIMIT : MODALUA_E_CANCELLED);
    check_late(ask(book, "name", i), late, cost);
    check_usable(rt);
}

static void try_all(modalua_config config, modalua_runtime *book)
{
    modalua_runtime *rt = make(&config);
    if (config.run_seconds == 0)
        CHECK(modalua_register(rt, "begun", on_begun, NULL) == MODALUA_OK);
    for (int i = 1, n = count_of(book); i <= n; i++)
        if (!holds(book, "is_refused", i) && !holds(book, "is_deaf", i))
            try_one(rt, book, i, config.run_seconds);
    modalua_destroy(rt);
}

/* These end by themselves. */
static void try_refused(modalua_config config, modalua_runtime *book)
{
    modalua_runtime *rt = make(&config);
    for (int i = 1, n = count_of(book); i <= n; i++)
        if (holds(book, "is_refused", i)) {
            CHECK(modalua_set_global(rt, "code", ask(book, "code", i)) == MODALUA_OK);
            check_status(rt, ask(book, "name", i), run(rt, "assert(load(code))()"),
                         MODALUA_E_SCRIPT);
            check_usable(rt);
        }
    modalua_destroy(rt);
}

/* What nothing but the time between two calls of the hook tells from quick calls. The first few of
 * these may not be noticed. */
static void try_unwatched(modalua_config config)
{
    static const char code[] = "local s = ('x'):rep(1000):rep(20000)\n"
                               "local start = os.clock()\n"
                               "tonumber(s, 36)\n"
                               "cost = os.clock() - start\n"
                               "for _ = 1, 10000 do end\n"
                               "for _ = 1, 30 do tonumber(s, 36) end\n"
                               "print()\n"
                               "while true do tonumber(s, 36) end\n";
    modalua_runtime *rt;
    double late;
    config.write = on_print;
    rt = make(&config);
    check_status(rt, "tonumber", run_cancelled(rt, code, &late), MODALUA_E_CANCELLED);
    check_late("tonumber", late, cost_of(rt));
    modalua_destroy(rt);
}

/* ---- a full heap ---- */

/* Fills the heap but for 1440 bytes. */
static const char fill[] = "local s, full = ('x'):rep(1000)\n"
                           "pcall(function() while true do full = { full } end end)\n"
                           "for _ = 1, 20 do full = full[1] end\n";

/* The processor time of a collection of all of it. */
static double collection_cost(const modalua_config *config)
{
    static const char measure[] = "local start = os.clock()\n"
                                  "pcall(s.rep, s, 100000)\n"
                                  "cost = os.clock() - start\n";
    modalua_runtime *rt = make(config);
    char code[1024];
    double cost;
    snprintf(code, sizeof code, "%s%s", fill, measure);
    pass(rt, code);
    cost = cost_of(rt);
    modalua_destroy(rt);
    return cost;
}

/* Every allocation begins with a collection of everything, and the tasks that a turn is made of are
 * each too short for the hook. */
static void try_tasks(const modalua_config *config, double cost)
{
    static const char code[] = "local task = require 'modalua.task'\n"
                               "local count = 0\n"
                               "local function bomb()\n"
                               "  count = count + 1\n"
                               "  if count == 15000 then print() end\n" /* nearly full */
                               "  while true do pcall(task.spawn, bomb) task.sleep(0) end\n"
                               "end\n"
                               "bomb()\n";
    double late;
    modalua_runtime *rt = make(config);
    check_status(rt, "tasks in a full heap", run_cancelled(rt, code, &late), MODALUA_E_CANCELLED);
    check_late("tasks in a full heap", late, cost);
    check_usable(rt);
    modalua_destroy(rt);
}

/* Such a collection follows each refused allocation: of one that fails, and of one that succeeds
 * after it. */
static void try_refusals(const modalua_config *config, const char *call, double cost)
{
    char code[1024];
    double late;
    modalua_runtime *rt = make(config);
    snprintf(code, sizeof code, "%s for _ = 1, 10000 do end print() while true do %s end", fill,
             call);
    check_status(rt, call, run_cancelled(rt, code, &late), MODALUA_E_CANCELLED);
    check_late(call, late, cost);
    check_usable(rt);
    modalua_destroy(rt);
}

static void try_full_heap(modalua_config config)
{
    double cost;
    config.memory_limit = 64000000;
    config.write = on_print;
    cost = collection_cost(&config);
    try_tasks(&config, cost);
    try_refusals(&config, "pcall(s.rep, s, 100000)", cost);
    try_refusals(&config, "local _ = s:rep(1)", cost);
}

/* ---- functions of the host, outside a run ---- */

static const char bomb[] = "bomb = {} for _ = 1, 60 do bomb = { bomb, bomb } end\n";

/* The limit of a run ends them too. */
static void try_get_limited(modalua_config config)
{
    const char *json = "";
    modalua_runtime *rt;
    double start;
    int status;
    config.run_seconds = LIMIT_MS / 1000.0;
    rt = make(&config);
    do /* a busy machine may give it no processor before the limit is over */
        status = run(rt, bomb);
    while (status == MODALUA_E_LIMIT);
    start = processor();
    check_status(rt, "get_global", modalua_get_global(rt, "bomb", &json), MODALUA_E_LIMIT);
    check_late("get_global", processor() - start - config.run_seconds, 0);
    CHECK(!json && strstr(modalua_last_error_json(rt), "\"kind\":\"limit\""));
    CHECK(modalua_set_global(rt, "bomb", NULL) == MODALUA_OK);
    CHECK(modalua_get_global(rt, "bomb", &json) == MODALUA_OK && !json);
    check_usable(rt);
    modalua_destroy(rt);
}

/* So does a cancel, and modalua_overdue counts it. */
static void *cancel_get(void *user)
{
    canceller *c = user;
    while (modalua_overdue(c->rt) == -HUGE_VAL) /* modalua_get_global has not begun */
        sched_yield();
    c->due = processor();
    modalua_cancel(c->rt);
    return NULL;
}

static void try_get_cancelled(modalua_config config)
{
    canceller c;
    const char *json = "";
    pthread_t thread;
    int status;
    double end;
    config.run_seconds = WATCHDOG;
    c.rt = make(&config);
    pass(c.rt, bomb);
    CHECK(pthread_create(&thread, NULL, cancel_get, &c) == 0);
    status = modalua_get_global(c.rt, "bomb", &json);
    end = processor();
    CHECK(pthread_join(thread, NULL) == 0);
    check_status(c.rt, "get_global", status, MODALUA_E_CANCELLED);
    CHECK(!json);
    check_late("get_global", end - c.due, 0);
    check_usable(c.rt);
    modalua_destroy(c.rt);
}

/* Between two steps: the limit ends the call and the run. */
static void try_get_in_run(modalua_config config)
{
    static const char code[] =
        "closed = 0\n"
        "local x <close> = setmetatable({}, {__close = function() closed = 1 end})\n"
        "require 'modalua.task'.sleep(600)\n";
    char script[512];
    const char *json = "";
    int status;
    modalua_runtime *rt;
    config.run_seconds = LIMIT_MS / 1000.0;
    rt = make(&config);
    snprintf(script, sizeof script, "%s%s", bomb, code);
    CHECK(start(rt, script) == MODALUA_OK);
    CHECK(modalua_step(rt, 0) == MODALUA_WORKING);
    check_status(rt, "get_global", modalua_get_global(rt, "bomb", &json), MODALUA_E_LIMIT);
    while ((status = modalua_step(rt, 0)) == MODALUA_WORKING)
        ;
    CHECK(status == MODALUA_E_LIMIT);
    CHECK(modalua_get_global(rt, "closed", &json) == MODALUA_OK && strcmp(json, "1") == 0);
    modalua_destroy(rt);
}

/* An error object that a script has put such a value into: the JSON of the last error has the rest.
 * Nothing else ends the encoding of that value: a program without this bound never ends. */
static void try_error(modalua_config config)
{
    static const char code[] = "local _, err = require 'modalua.json'.decode('?')\n"
                               "err.bomb, err.code = bomb, 'mine' error(err)\n";
    char script[512];
    modalua_runtime *rt = make(&config);
    snprintf(script, sizeof script, "%s%s", bomb, code);
    check_status(rt, "error", run(rt, script), MODALUA_E_SCRIPT);
    CHECK(strstr(modalua_last_error_json(rt), "\"code\":\"mine\""));
    CHECK(!strstr(modalua_last_error_json(rt), "bomb"));
    modalua_destroy(rt);
}

int main(void)
{
    modalua_config config;
    modalua_runtime *book = read_escapes();
    modalua_config_init(&config);
    config.flags = MODALUA_SANDBOX;
    try_get_limited(config);
    try_get_cancelled(config);
    try_get_in_run(config);
    try_error(config);
    try_refused(config, book);
    try_unwatched(config);
    try_full_heap(config);
    try_all(config, book);
    config.run_seconds = LIMIT_MS / 1000.0;
    try_all(config, book);
    modalua_destroy(book);
    return 0;
}
