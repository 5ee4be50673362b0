/* spawned.c - tasks that a host starts beside the run under way, and calls that any thread posts. */
#define _POSIX_C_SOURCE 200809L

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "runs.h"

/* ---- what a task's `done` has got ---- */

typedef struct outcome {
    int calls, status;
    unsigned long task;
    char json[1000];
    int order; /* 1: it was the first `done` of the test */
} outcome;

static int order; /* of the `done` callbacks of a test */

static void keep(void *user, modalua_runtime *rt, unsigned long task, int status, const char *json)
{
    outcome *o = user;
    (void)rt;
    o->calls++;
    o->task = task;
    o->status = status;
    o->order = ++order;
    snprintf(o->json, sizeof o->json, "%s", json ? json : "none");
}

static void keep_run(void *user, modalua_runtime *rt, int status)
{
    keep(user, rt, 0, status, NULL);
}

static bool is(const outcome *o, int status, const char *json)
{
    if (o->calls != 1 || o->status != status || strcmp(o->json, json) != 0)
        fprintf(stderr, "%d calls, status %d, %s\n", o->calls, o->status, o->json);
    return o->calls == 1 && o->status == status && strcmp(o->json, json) == 0;
}

static modalua_runtime *begin(const char *code, outcome *end)
{
    modalua_config config = watched();
    modalua_runtime *rt = make(&config);
    order = 0;
    pass(rt, "task = require 'modalua.task'\n"
             "function double(n) task.sleep(0.001) return n * 2 end\n"
             "function wait() task.sleep(1000) end\n"
             "function fail(m) error(m, 0) end\n"
             "function refuse() return nil, 'refused' end\n"
             "function let_go() go = true end\n"
             "function wait_for_go() while not go do task.sleep(0.001) end end");
    CHECK(modalua_start_string(rt, "=test", code, strlen(code), keep_run, end) == MODALUA_OK);
    return rt;
}

static void call(modalua_runtime *rt, const char *function, const char *json, outcome *o)
{
    unsigned long task;
    CHECK(modalua_spawn_call(rt, function, json, keep, o, &task) == MODALUA_OK && task != 0);
    o->task = task;
}

/* ---- beside a run ---- */

static void test_beside(void)
{
    outcome end = { 0 }, a = { 0 }, b = { 0 }, c = { 0 }, d = { 0 }, e = { 0 }, f = { 0 };
    static const char chunk[] = "task.sleep(0.002) go = true return {1, ...}";
    modalua_runtime *rt = begin("wait_for_go() assert(go)", &end);
    CHECK(modalua_step(rt, 0) == MODALUA_WORKING);
    call(rt, "double", "21", &a);
    call(rt, "fail", "\"broken\"", &b);
    call(rt, "refuse", NULL, &c);
    call(rt, "nosuch", NULL, &d);
    call(rt, "double", "{", &f);
    CHECK(modalua_spawn_string(rt, "=chunk", chunk, sizeof chunk - 1, keep, &e, NULL) ==
          MODALUA_OK);
    CHECK(modalua_spawn_call(rt, "double", "2", NULL, NULL, NULL) == MODALUA_OK);
    CHECK(finish(rt) == MODALUA_OK);
    CHECK(is(&a, MODALUA_OK, "42") && is(&e, MODALUA_OK, "[1]"));
    CHECK(b.status == MODALUA_E_SCRIPT && strstr(b.json, "\"message\":\"broken\""));
    CHECK(strstr(b.json, "\"traceback\"") && strstr(b.json, "\"modalua_status\":-3"));
    CHECK(c.status == MODALUA_E_SCRIPT && strstr(c.json, "\"message\":\"refused\""));
    CHECK(d.status == MODALUA_E_SCRIPT && strstr(d.json, "nosuch"));
    CHECK(f.status == MODALUA_E_SCRIPT && strstr(f.json, "not JSON"));
    CHECK(end.calls == 1 && end.status == MODALUA_OK && end.order == 7);
    CHECK(strcmp(modalua_last_error(rt), "") == 0); /* these errors are not the run's */
    modalua_destroy(rt);
}

/* The run ends when its script and its tasks have ended, in whatever order. */
static void test_run_waits(void)
{
    outcome end = { 0 }, a = { 0 };
    modalua_runtime *rt = begin("return 1", &end);
    call(rt, "wait_for_go", NULL, &a);
    for (int i = 0; i < 5; i++)
        CHECK(modalua_step(rt, 1) == MODALUA_WORKING);
    call(rt, "let_go", NULL, &(outcome){ 0 });
    CHECK(finish(rt) == MODALUA_OK && is(&a, MODALUA_OK, "none") && end.order == 3);
    modalua_destroy(rt);
}

static void test_refused(void)
{
    outcome end = { 0 }, a = { 0 };
    unsigned long task = 7;
    modalua_runtime *rt = begin("", &end);
    CHECK(modalua_spawn_string(rt, "=c", "x =", 3, keep, &a, &task) == MODALUA_E_SYNTAX &&
          task == 0);
    CHECK(strstr(modalua_last_error(rt), "c:1:"));
    CHECK(modalua_spawn_call(rt, NULL, NULL, keep, &a, &task) == MODALUA_E_INVALID);
    CHECK(modalua_spawn_call(NULL, "f", NULL, keep, &a, &task) == MODALUA_E_INVALID);
    CHECK(modalua_spawn_string(rt, "=c", NULL, 1, keep, &a, &task) == MODALUA_E_INVALID);
    CHECK(modalua_post(NULL, "f", NULL, keep, &a, &task) == MODALUA_E_INVALID);
    CHECK(modalua_post(rt, NULL, NULL, keep, &a, &task) == MODALUA_E_INVALID);
    CHECK(finish(rt) == MODALUA_OK);
    CHECK(modalua_spawn_call(rt, "double", "1", keep, &a, &task) == MODALUA_E_INVALID && task == 0);
    CHECK(strstr(modalua_last_error(rt), "no run is under way"));
    modalua_cancel_task(rt, 99);
    modalua_cancel_task(NULL, 1);
    modalua_destroy(rt);
    CHECK(a.calls == 0);
}

/* ---- cancel ---- */

static void test_cancel_one(void)
{
    outcome end = { 0 }, a = { 0 }, b = { 0 }, c = { 0 };
    unsigned long posted;
    modalua_runtime *rt = begin("wait_for_go()", &end);
    CHECK(modalua_step(rt, 0) == MODALUA_WORKING);
    call(rt, "wait", NULL, &a);
    call(rt, "double", "4", &b);
    CHECK(modalua_step(rt, 0) == MODALUA_WORKING);
    CHECK(modalua_post(rt, "double", "1", keep, &c, &posted) == MODALUA_OK);
    modalua_cancel_task(rt, posted); /* it does not begin */
    modalua_cancel_task(rt, a.task);
    while (a.calls == 0 || b.calls == 0 || c.calls == 0)
        CHECK(modalua_step(rt, 10) == MODALUA_WORKING);
    CHECK(a.status == MODALUA_E_CANCELLED && strstr(a.json, "\"kind\":\"cancelled\""));
    CHECK(c.status == MODALUA_E_CANCELLED && c.task == posted && is(&b, MODALUA_OK, "8"));
    call(rt, "let_go", NULL, &(outcome){ 0 });
    CHECK(finish(rt) == MODALUA_OK && end.status == MODALUA_OK);
    modalua_destroy(rt);
}

/* A task that computes: how it does so, and whether its <close> handler has run. */
static const char *const computing[] = {
    "begun() while true do end",
    "begun() while true do pcall(function() while true do end end) end",
    "begun() while true do pcall(task.sleep, 0) end",
    "task.spawn(function() begun() while true do pcall(function() while true do end end) end "
    "end):join()",
    "begun() local co = coroutine.wrap(function() while true do pcall(function() while true do end "
    "end) end end) while true do pcall(co) end",
    "begun() pcall(string.find, ('a'):rep(40), ('a?'):rep(40) .. ('a'):rep(40)) while true do end",
    "begun() string.gsub('x', 'x', function() while true do end end)",
};

static atomic_bool has_begun;

static void note_begun(void *user, const char *arguments, modalua_reply *reply)
{
    (void)user;
    (void)arguments;
    (void)reply;
    atomic_store(&has_begun, true);
}

typedef struct canceller {
    modalua_runtime *rt;
    unsigned long task;
} canceller;

static void *cancel_when_begun(void *user)
{
    const canceller *c = user;
    while (!atomic_load(&has_begun))
        nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
    modalua_cancel_task(c->rt, c->task);
    return NULL;
}

/* A task that computes is ended, and with it the tasks that it has started; others and the run go on. */
static void test_cancel_computing(const char *code)
{
    outcome end = { 0 }, a = { 0 }, b = { 0 };
    char chunk[500];
    pthread_t thread;
    canceller c;
    modalua_config config = watched();
    config.grace_seconds = 0.05;
    c.rt = make(&config);
    CHECK(modalua_register(c.rt, "begun", note_begun, NULL) == MODALUA_OK);
    pass(c.rt, "task = require 'modalua.task' function wait() while not go do task.sleep(0.001) "
               "end return 7 end function let_go() go = true end");
    CHECK(modalua_start_string(c.rt, "=test", "wait() assert(closed)", 21, keep_run, &end) ==
          MODALUA_OK);
    call(c.rt, "wait", NULL, &b);
    snprintf(chunk, sizeof chunk,
             "local x <close> = setmetatable({}, { __close = function() closed = true end }) %s",
             code);
    atomic_store(&has_begun, false);
    CHECK(modalua_spawn_string(c.rt, "=chunk", chunk, strlen(chunk), keep, &a, &c.task) ==
          MODALUA_OK);
    CHECK(pthread_create(&thread, NULL, cancel_when_begun, &c) == 0);
    while (a.calls == 0)
        CHECK(modalua_step(c.rt, -1) == MODALUA_WORKING);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(a.status == MODALUA_E_CANCELLED && strstr(a.json, "\"kind\":\"cancelled\""));
    CHECK(b.calls == 0);
    call(c.rt, "let_go", NULL, &(outcome){ 0 });
    CHECK(finish(c.rt) == MODALUA_OK && end.status == MODALUA_OK && is(&b, MODALUA_OK, "7"));
    pass(c.rt, "for i = 1, 1000 do pcall(error) end");
    modalua_destroy(c.rt);
}

static void cancel_itself(void *user, const char *arguments, modalua_reply *reply)
{
    const canceller *c = user;
    (void)arguments;
    (void)reply;
    modalua_cancel_task(c->rt, c->task);
}

/* Without the count hook, a callback reaches the task that computes. */
static void test_cancel_without_hook(void)
{
    static const char chunk[] = "cancel_itself() while true do end";
    outcome end = { 0 }, a = { 0 };
    canceller c;
    modalua_config config;
    modalua_config_init(&config);
    config.flags = MODALUA_NO_HOOK;
    c.rt = make(&config);
    CHECK(modalua_register(c.rt, "cancel_itself", cancel_itself, &c) == MODALUA_OK);
    CHECK(modalua_start_string(c.rt, "=test", "return 1", 8, keep_run, &end) == MODALUA_OK);
    CHECK(modalua_spawn_string(c.rt, "=chunk", chunk, sizeof chunk - 1, keep, &a, &c.task) ==
          MODALUA_OK);
    CHECK(finish(c.rt) == MODALUA_OK && a.status == MODALUA_E_CANCELLED);
    modalua_destroy(c.rt);
}

/* It waits when it is cancelled, and catches the error. */
static void test_cancel_caught_without_hook(void)
{
    static const char chunk[] = "pcall(require 'modalua.task'.sleep, 600) while true do end";
    outcome end = { 0 }, a = { 0 }, b = { 0 };
    canceller c;
    modalua_config config;
    modalua_config_init(&config);
    config.flags = MODALUA_NO_HOOK;
    config.grace_seconds = 0.1;
    c.rt = make(&config);
    CHECK(modalua_register(c.rt, "cancel_other", cancel_itself, &c) == MODALUA_OK);
    CHECK(modalua_start_string(c.rt, "=test", "return 1", 8, keep_run, &end) == MODALUA_OK);
    CHECK(modalua_spawn_string(c.rt, "=chunk", chunk, sizeof chunk - 1, keep, &a, &c.task) ==
          MODALUA_OK);
    CHECK(modalua_spawn_string(c.rt, "=other", "cancel_other()", 14, keep, &b, NULL) == MODALUA_OK);
    CHECK(finish(c.rt) == MODALUA_OK && a.status == MODALUA_E_CANCELLED);
    modalua_destroy(c.rt);
}

static void keep_and_cancel(void *user, modalua_runtime *rt, unsigned long task, int status,
                            const char *json)
{
    keep(user, rt, task, status, json);
    modalua_cancel(rt);
}

/* In a run that blocks, an operation inside a callback of a C function blocks too. */
static void test_cancel_blocked(void)
{
    outcome a = { 0 };
    pthread_t thread;
    modalua_config config = watched();
    canceller c = { .rt = make(&config) };
    CHECK(modalua_register(c.rt, "begun", note_begun, NULL) == MODALUA_OK);
    pass(c.rt,
         "task = require 'modalua.task' function block() string.gsub('x', 'x', function() begun() "
         "task.sleep(1000) end) end");
    atomic_store(&has_begun, false);
    CHECK(modalua_post(c.rt, "block", NULL, keep_and_cancel, &a, &c.task) == MODALUA_OK);
    CHECK(pthread_create(&thread, NULL, cancel_when_begun, &c) == 0);
    CHECK(run(c.rt, "task.sleep(1000)") == MODALUA_E_CANCELLED);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(a.calls == 1 && a.status == MODALUA_E_CANCELLED);
    modalua_destroy(c.rt);
}

/* What ends the run ends its tasks. */
static void test_end_of_run(int how)
{
    static const int statuses[] = { MODALUA_E_CANCELLED, MODALUA_E_CANCELLED, MODALUA_EXIT,
                                    MODALUA_E_SCRIPT };
    outcome end = { 0 }, a = { 0 }, b = { 0 };
    modalua_runtime *rt = begin(how == 3 ? "task.sleep(0.001) error 'x'" : "wait()", &end);
    call(rt, "wait", NULL, &a);
    CHECK(modalua_step(rt, 0) == MODALUA_WORKING);
    if (how < 2)
        modalua_cancel(rt);
    if (how == 1)
        modalua_cancel(rt);
    if (how == 2)
        CHECK(modalua_spawn_string(rt, "=exit", "os.exit(3)", 10, keep, &b, NULL) == MODALUA_OK);
    CHECK(finish(rt) == statuses[how]);
    CHECK(a.calls == 1 && a.status == (how == 2 ? MODALUA_EXIT : MODALUA_E_CANCELLED));
    CHECK(how != 2 || (b.status == MODALUA_EXIT && modalua_exit_code(rt) == 3));
    pass(rt, "assert(double(2) == 4)");
    modalua_destroy(rt);
}

/* A `done` that tries again whatever has happened. */
static void post_again(void *user, modalua_runtime *rt, unsigned long task, int status,
                       const char *json)
{
    unsigned long next = 7;
    keep(user, rt, task, status, json);
    CHECK(modalua_post(rt, "wait", NULL, post_again, user, &next) == MODALUA_E_CANCELLED);
    CHECK(next == 0 && modalua_spawn_call(rt, "wait", NULL, post_again, user, &next) < 0);
}

static void test_destroy(void)
{
    outcome end = { 0 }, a = { 0 }, b = { 0 }, c = { 0 }, d = { 0 };
    modalua_runtime *rt = begin("wait()", &end);
    CHECK(modalua_step(rt, 0) == MODALUA_WORKING);
    call(rt, "wait", NULL, &a);
    CHECK(modalua_spawn_call(rt, "wait", NULL, post_again, &d, NULL) == MODALUA_OK);
    CHECK(modalua_step(rt, 0) == MODALUA_WORKING);
    CHECK(modalua_post(rt, "double", "1", keep, &b, NULL) == MODALUA_OK);
    modalua_destroy(rt);
    CHECK(d.calls == 1 && d.status == MODALUA_E_CANCELLED);
    CHECK(a.calls == 1 && a.status == MODALUA_E_CANCELLED);
    CHECK(b.calls == 1 && b.status == MODALUA_E_CANCELLED && end.calls == 0);
    rt = make(NULL);
    CHECK(modalua_post(rt, "double", "1", keep, &c, NULL) == MODALUA_OK);
    modalua_destroy(rt);
    CHECK(c.calls == 1 && c.status == MODALUA_E_CANCELLED);
}

/* ---- posted ---- */

/* Without a run, the call waits for the next one, also one that blocks. */
static void test_post_early(void)
{
    outcome a = { 0 }, b = { 0 };
    modalua_config config = watched();
    modalua_runtime *rt = make(&config);
    CHECK(modalua_post(rt, "math.abs", "-5", keep, &a, NULL) == MODALUA_OK);
    CHECK(modalua_post(rt, "double", "2", keep, &b, NULL) == MODALUA_OK);
    CHECK(modalua_step(rt, 0) == MODALUA_OK && a.calls == 0);
    pass(rt, "function double(n) return n * 2 end");
    CHECK(is(&a, MODALUA_OK, "5") && b.calls == 1);
    modalua_destroy(rt);
}

enum { POSTERS = 3, POSTS = 200 };

typedef struct poster {
    modalua_runtime *rt;
    atomic_int done, sum;
} poster;

static void count(void *user, modalua_runtime *rt, unsigned long task, int status, const char *json)
{
    poster *p = user;
    (void)rt;
    CHECK(status == MODALUA_OK && task != 0);
    atomic_fetch_add(&p->sum, atoi(json));
    atomic_fetch_add(&p->done, 1);
}

static void *post(void *user)
{
    poster *p = user;
    for (int i = 0; i < POSTS; i++) {
        unsigned long task;
        CHECK(modalua_post(p->rt, "double", "1", count, p, &task) == MODALUA_OK);
        modalua_cancel_task(p->rt, task + 1000000);
    }
    return NULL;
}

/* The loop of the host waits, and is woken. */
static void test_threads(void)
{
    outcome end = { 0 };
    poster p = { .rt = begin("wait()", &end) };
    pthread_t threads[POSTERS];
    for (int i = 0; i < POSTERS; i++)
        CHECK(pthread_create(&threads[i], NULL, post, &p) == 0);
    while (atomic_load(&p.done) < POSTERS * POSTS)
        CHECK(modalua_step(p.rt, -1) == MODALUA_WORKING);
    for (int i = 0; i < POSTERS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(p.sum == 2 * POSTERS * POSTS);
    modalua_cancel(p.rt);
    CHECK(finish(p.rt) == MODALUA_E_CANCELLED);
    modalua_destroy(p.rt);
}

/* ---- callbacks ---- */

static modalua_runtime *used;
static outcome from_callback, from_done;

static void post_within(void *user, const char *text, size_t size)
{
    (void)user;
    (void)text;
    (void)size;
    CHECK(modalua_spawn_call(used, "double", "1", keep, NULL, NULL) == MODALUA_E_BUSY);
    CHECK(modalua_post(used, "double", "3", keep, &from_callback, NULL) == MODALUA_OK);
}

/* `done` starts another task, but not another run. */
static void spawn_again(void *user, modalua_runtime *rt, unsigned long task, int status,
                        const char *json)
{
    const char *global;
    keep(user, rt, task, status, json);
    CHECK(modalua_get_global(rt, "go", &global) == MODALUA_OK && !global);
    CHECK(modalua_step(rt, 0) == MODALUA_E_BUSY && run(rt, "") == MODALUA_E_BUSY);
    modalua_destroy(rt); /* does nothing here */
    call(rt, "let_go", NULL, &from_done);
}

static void test_callbacks(void)
{
    modalua_config config = watched();
    outcome a = { 0 };
    config.write = post_within;
    used = make(&config);
    CHECK(start(used, "task = require 'modalua.task' function double(n) return n * 2 end\n"
                      "function let_go() go = true end print()\n"
                      "while not go do task.sleep(0.001) end") == MODALUA_OK);
    CHECK(modalua_step(used, 0) == MODALUA_WORKING);
    CHECK(modalua_spawn_call(used, "double", "5", spawn_again, &a, NULL) == MODALUA_OK);
    CHECK(finish(used) == MODALUA_OK);
    CHECK(is(&from_callback, MODALUA_OK, "6") && is(&a, MODALUA_OK, "10"));
    CHECK(is(&from_done, MODALUA_OK, "none"));
    modalua_destroy(used);
}

int main(void)
{
    test_beside();
    test_run_waits();
    test_refused();
    test_cancel_one();
    for (size_t i = 0; i < sizeof computing / sizeof computing[0]; i++)
        test_cancel_computing(computing[i]);
    test_cancel_without_hook();
    test_cancel_caught_without_hook();
    test_cancel_blocked();
    for (int how = 0; how < 4; how++)
        test_end_of_run(how);
    test_destroy();
    test_post_early();
    test_threads();
    test_callbacks();
    return 0;
}
