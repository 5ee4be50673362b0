/* replies.c - tests replies that a host keeps and answers later, from any thread, also if the script
 * no longer waits. The tests use no sleeps: condition variables wake the threads, and
 * config.run_seconds ends a test that hangs. */
#define _POSIX_C_SOURCE 200809L

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "runs.h"

/* ---- a desk: a queue of kept replies, and the threads that answer them ---- */

enum { ROOM = 1024 };

typedef struct desk {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    modalua_reply *kept[ROOM];
    int numbers[ROOM];
    int first, last; /* the unanswered replies are those from first to last - 1 */
    int allowed;     /* how many of them may be answered now */
    int answered;
    bool closed;
    modalua_runtime *rt;
} desk;

static void desk_open(desk *d)
{
    memset(d, 0, sizeof *d);
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->changed, NULL);
}

static void change(desk *d, int *count, int by)
{
    pthread_mutex_lock(&d->lock);
    *count += by;
    pthread_cond_broadcast(&d->changed);
    pthread_mutex_unlock(&d->lock);
}

/* The number in [n] or ["n"]. */
static int number_in(const char *arguments)
{
    return atoi(arguments + strspn(arguments, "[\""));
}

/* ask(n): puts the reply on the desk, which later answers n + 1. */
static void ask(void *user, const char *arguments, modalua_reply *reply)
{
    desk *d = user;
    CHECK(modalua_reply_keep(reply) == MODALUA_OK);
    CHECK(modalua_reply_keep(reply) == MODALUA_E_INVALID);
    pthread_mutex_lock(&d->lock);
    CHECK(d->last < ROOM);
    d->numbers[d->last] = number_in(arguments);
    d->kept[d->last++] = reply;
    pthread_cond_broadcast(&d->changed);
    pthread_mutex_unlock(&d->lock);
}

/* allow(n): the desk may answer n more replies. */
static void allow(void *user, const char *arguments, modalua_reply *reply)
{
    (void)reply;
    change(user, &((desk *)user)->allowed, number_in(arguments));
}

/* After an invalid answer, the host still has the reply and can give a valid answer. */
static void give(modalua_reply *reply, int number)
{
    char json[32];
    snprintf(json, sizeof json, "%d", number + 1);
    CHECK(modalua_reply_json(reply, "{") == MODALUA_E_INVALID);
    CHECK(modalua_reply_json(reply, json) == MODALUA_OK);
}

/* Waits for the next reply that may be answered, and takes it. False if the desk is closed. */
static bool take(desk *d, modalua_reply **reply, int *number)
{
    bool taken;
    pthread_mutex_lock(&d->lock);
    while (!d->closed && (d->first == d->last || d->allowed == 0))
        pthread_cond_wait(&d->changed, &d->lock);
    taken = d->first < d->last && d->allowed > 0;
    if (taken) {
        *number = d->numbers[d->first];
        *reply = d->kept[d->first++];
        d->allowed--;
    }
    pthread_mutex_unlock(&d->lock);
    return taken;
}

static void *serve(void *user)
{
    desk *d = user;
    modalua_reply *reply;
    int number;
    while (take(d, &reply, &number)) {
        give(reply, number);
        change(d, &d->answered, 1);
    }
    return NULL;
}

static void desk_close(desk *d, pthread_t *threads, int count)
{
    pthread_mutex_lock(&d->lock);
    d->closed = true;
    pthread_cond_broadcast(&d->changed);
    pthread_mutex_unlock(&d->lock);
    for (int i = 0; i < count; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    pthread_cond_destroy(&d->changed);
    pthread_mutex_destroy(&d->lock);
}

static void start_threads(desk *d, pthread_t *threads, int count)
{
    for (int i = 0; i < count; i++)
        CHECK(pthread_create(&threads[i], NULL, serve, d) == 0);
}

static modalua_runtime *open_runtime(desk *d, const modalua_config *config)
{
    d->rt = make(config);
    CHECK(modalua_register(d->rt, "ask", ask, d) == MODALUA_OK);
    CHECK(modalua_register(d->rt, "allow", allow, d) == MODALUA_OK);
    return d->rt;
}

/* ---- answered later ---- */

/* While one task waits for its answer, the other task must run, because it allows the answer. */
static void test_later(unsigned flags)
{
    desk d;
    pthread_t thread;
    modalua_config config = watched();
    modalua_runtime *rt;
    config.flags = flags;
    desk_open(&d);
    start_threads(&d, &thread, 1);
    rt = open_runtime(&d, &config);
    pass(
        rt,
        "local task = require 'modalua.task'\n"
        "local waits = task.spawn(function() local n = ask(41) order = order .. 'b' return n end)\n"
        "order = 'a' task.sleep(0) allow(1)\n"
        "assert(waits:join() == 42 and order == 'ab')\n"
        "local r, err = task.timeout(0.01, ask, 1)\n" /* the script gives up; the answer comes below */
        "assert(r == nil and err.kind == 'timeout') allow(2)\n"
        "assert(ask(7) == 8)");
    modalua_destroy(rt);
    desk_close(&d, &thread, 1);
}

/* Where the script cannot yield, the call waits in place. */
static void test_in_place(void)
{
    desk d;
    pthread_t thread;
    modalua_config config = watched();
    modalua_runtime *rt;
    desk_open(&d);
    start_threads(&d, &thread, 1);
    rt = open_runtime(&d, &config);
    pass(rt, "allow(100)\n"
             "assert(('12'):gsub('.', ask) == '23' and coroutine.wrap(ask)(1) == 2)\n"
             "local list = {2, 3, 1}\n"
             "table.sort(list, function(x, y) return ask(x) < ask(y) end)\n"
             "assert(table.concat(list) == '123')");
    CHECK(
        run(rt, "error(setmetatable({}, {__tostring = function() return 'is ' .. ask(1) end}))") ==
        MODALUA_E_SCRIPT);
    CHECK(strncmp(modalua_last_error(rt), "is 2\n", 5) == 0);
    modalua_destroy(rt);
    desk_close(&d, &thread, 1);
}

/* ask(n), but it returns only after another thread has given the answer. */
static void ask_and_see(void *user, const char *arguments, modalua_reply *reply)
{
    desk *d = user;
    int before = d->answered; /* only this thread asks, and it waits */
    ask(user, arguments, reply);
    pthread_mutex_lock(&d->lock);
    while (d->answered == before)
        pthread_cond_wait(&d->changed, &d->lock);
    pthread_mutex_unlock(&d->lock);
}

static void test_within(void)
{
    desk d;
    pthread_t thread;
    modalua_config config = watched();
    modalua_runtime *rt;
    desk_open(&d);
    start_threads(&d, &thread, 1);
    rt = open_runtime(&d, &config);
    CHECK(modalua_register(rt, "see", ask_and_see, &d) == MODALUA_OK);
    pass(rt, "allow(1000) for i = 1, 100 do assert(see(i) == i + 1) end\n"
             "assert(('1'):gsub('.', see) == '2')");
    modalua_destroy(rt);
    desk_close(&d, &thread, 1);
}

/* The thread that drives the runtime answers between two steps, with a text, an error and JSON. */
static void test_between_steps(void)
{
    desk d;
    modalua_config config = watched();
    modalua_runtime *rt;
    desk_open(&d);
    rt = open_runtime(&d, &config);
    CHECK(start(rt, "assert(ask(1) == 'a\\0b') local none, err = ask(2)\n"
                    "assert(none == nil and err.kind == 'host' and err.code == 'late')\n"
                    "assert(ask(3) == 4)") == MODALUA_OK);
    while (d.last < 1)
        CHECK(modalua_step(rt, 0) == MODALUA_WORKING);
    CHECK(modalua_step(rt, 0) == MODALUA_WORKING && modalua_step(rt, 1) == MODALUA_WORKING);
    CHECK(modalua_reply_text(d.kept[0], "a\0b", 3) == MODALUA_OK);
    while (d.last < 2)
        CHECK(modalua_step(rt, -1) == MODALUA_WORKING);
    CHECK(modalua_reply_error(d.kept[1], "late", "too late") == MODALUA_OK);
    while (d.last < 3)
        CHECK(modalua_step(rt, -1) == MODALUA_WORKING);
    give(d.kept[2], 3);
    CHECK(finish(rt) == MODALUA_OK);
    modalua_destroy(rt);
    desk_close(&d, NULL, 0);
}

/* ---- the script no longer waits ---- */

typedef enum ending { CANCEL, KILL, LIMIT, DESTROY, ENDINGS } ending;

static const int statuses[] = { MODALUA_E_CANCELLED, MODALUA_E_CANCELLED, MODALUA_E_LIMIT };

static void end_as(modalua_runtime *rt, ending how)
{
    if (how == DESTROY)
        return;
    if (how != LIMIT)
        modalua_cancel(rt);
    if (how == KILL)
        modalua_cancel(rt);
    CHECK(finish(rt) == statuses[how]);
}

static void give_all(desk *d)
{
    for (; d->first < d->last; d->first++)
        give(d->kept[d->first], d->numbers[d->first]);
}

/* The run ends while the host keeps replies. It answers them before or after the runtime is
 * destroyed. */
static void test_too_late(ending how, bool before)
{
    desk d;
    modalua_config config = watched();
    modalua_runtime *rt;
    if (how == LIMIT)
        config.run_seconds = 1;
    desk_open(&d);
    rt = open_runtime(&d, &config);
    CHECK(start(rt, "local task = require 'modalua.task'\n"
                    "for i = 1, 3 do task.spawn(ask, i) end task.sleep(0)\n"
                    "local c <close> = setmetatable({}, {__close = function() ask(9) end})\n"
                    "ask(4)") == MODALUA_OK);
    while (how != LIMIT && d.last < 4)
        CHECK(modalua_step(rt, 0) == MODALUA_WORKING);
    end_as(rt, how);
    CHECK(d.last == 4); /* a run that is being ended makes no further call */
    if (before)
        give_all(&d);
    if (how != DESTROY)
        pass(rt, "assert(1)");
    modalua_destroy(rt);
    give_all(&d);
    desk_close(&d, NULL, 0);
}

/* The answers come at the same time as the run ends and the runtime is destroyed. */
static void test_race(ending how)
{
    desk d;
    pthread_t threads[2];
    modalua_config config = watched();
    modalua_runtime *rt;
    desk_open(&d);
    start_threads(&d, threads, 2);
    rt = open_runtime(&d, &config);
    CHECK(start(rt, "local task = require 'modalua.task'\n"
                    "for i = 1, 40 do task.spawn(ask, i) end") == MODALUA_OK);
    while (d.last < 40) /* only this thread changes it */
        CHECK(modalua_step(rt, 0) == MODALUA_WORKING);
    change(&d, &d.allowed, 40);
    if (how != DESTROY) {
        modalua_cancel(rt);
        if (how == KILL)
            modalua_cancel(rt);
        finish(rt); /* the status depends on which comes first: the answers or the cancel */
    }
    modalua_destroy(rt);
    pthread_mutex_lock(&d.lock);
    while (d.answered < 40)
        pthread_cond_wait(&d.changed, &d.lock);
    pthread_mutex_unlock(&d.lock);
    desk_close(&d, threads, 2);
}

/* ---- many ---- */

static void *watch(void *user)
{
    desk *d = user;
    bool closed = false;
    while (!closed) {
        CHECK(modalua_overdue(d->rt) < 0);
        pthread_mutex_lock(&d->lock);
        closed = d->closed;
        pthread_mutex_unlock(&d->lock);
    }
    return NULL;
}

static void test_many(void)
{
    enum { SERVERS = 3 };
    desk d;
    pthread_t threads[SERVERS + 1];
    modalua_config config = watched();
    modalua_runtime *rt;
    desk_open(&d);
    rt = open_runtime(&d, &config);
    start_threads(&d, threads, SERVERS);
    CHECK(pthread_create(&threads[SERVERS], NULL, watch, &d) == 0);
    pass(rt, "local task, done = require 'modalua.task', 0\n"
             "for i = 1, 250 do\n"
             "  task.spawn(function() for k = 1, 4 do assert(ask(i * k) == i * k + 1) end done = "
             "done + 1 end)\n"
             "end\n"
             "task.sleep(0) allow(1000)\n"
             "while done < 250 do task.sleep(0) end");
    desk_close(&d, threads, SERVERS + 1); /* first, because one thread still uses the runtime */
    modalua_destroy(rt);
    CHECK(d.answered == 1000);
}

int main(void)
{
    test_later(0);
    test_later(MODALUA_NO_HOOK);
    test_in_place();
    test_within();
    test_between_steps();
    for (int how = CANCEL; how < ENDINGS; how++) {
        test_too_late((ending)how, true);
        test_too_late((ending)how, false);
    }
    for (int i = 0; i < 10; i++) {
        test_race(CANCEL);
        test_race(KILL);
        test_race(DESTROY);
    }
    test_many();
    return 0;
}
