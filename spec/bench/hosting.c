/* hosting.c - how long a host waits, in seconds; prints a line for each of RUNS rounds:
 *
 *   hosting create RUNS                 a runtime made and destroyed, a sandbox, a bare Lua state
 *   hosting move RUNS URL MODALITY      from modalua_cancel in another thread until
 *                                       modalua_run_string returns, during a move that MODALITY never
 *                                       answers; the server has taken the cancel of its job then
 *   hosting spin RUNS                   the same for a script that never waits
 *   hosting hold RUNS                   the same for a script that catches the error: two cancels
 *
 * An unexpected outcome ends the program. */
#define _POSIX_C_SOURCE 200809L

#include <lauxlib.h>
#include <lualib.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "modalua.h"

enum { IN_A_ROUND = 50, PAUSE_MS = 100 };

static void fail(const char *why)
{
    fprintf(stderr, "hosting: %s\n", why);
    exit(1);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- creating ---- */

static void make_runtime(unsigned flags)
{
    modalua_config config;
    modalua_runtime *rt;
    modalua_config_init(&config);
    config.flags = flags;
    if (modalua_create(&rt, &config) != MODALUA_OK)
        fail("no runtime");
    modalua_destroy(rt);
}

static void make_state(unsigned flags)
{
    lua_State *L = luaL_newstate();
    (void)flags;
    if (!L)
        fail("no state");
    luaL_openlibs(L);
    lua_close(L);
}

static double each(void (*make)(unsigned), unsigned flags)
{
    double began = now();
    for (int i = 0; i < IN_A_ROUND; i++)
        make(flags);
    return (now() - began) / IN_A_ROUND;
}

static void create(int runs)
{
    for (int i = -1; i < runs; i++) { /* the first round is a warm-up and does not count */
        double runtime = each(make_runtime, 0), sandbox = each(make_runtime, MODALUA_SANDBOX),
               bare = each(make_state, 0);
        if (i >= 0)
            printf("%.9f %.9f %.9f\n", runtime, sandbox, bare);
    }
}

/* ---- cancelling ---- */

typedef struct canceller {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    modalua_runtime *rt;
    bool ready; /* the script has reached the place where it is to be stopped */
    int pause_ms, times;
    double asked;
} canceller;

static void get_ready(canceller *c)
{
    pthread_mutex_lock(&c->lock);
    c->ready = true;
    pthread_cond_signal(&c->changed);
    pthread_mutex_unlock(&c->lock);
}

static void on_print(void *user, const char *text, size_t size)
{
    (void)text;
    (void)size;
    get_ready(user);
}

/* The move waits for its job as soon as it has polled it once. */
static void on_request(void *user, const char *text, size_t size)
{
    char line[200];
    snprintf(line, sizeof line, "%.*s", (int)size, text);
    if (strncmp(line, "GET ", 4) == 0 && strstr(line, "/jobs/"))
        get_ready(user);
}

static void *cancel(void *user)
{
    canceller *c = user;
    pthread_mutex_lock(&c->lock);
    while (!c->ready)
        pthread_cond_wait(&c->changed, &c->lock);
    pthread_mutex_unlock(&c->lock);
    nanosleep(&(struct timespec){ 0, c->pause_ms * 1000000L }, NULL);
    c->asked = now();
    for (int i = 0; i < c->times; i++)
        modalua_cancel(c->rt);
    return NULL;
}

/* The script finds the number of the run in the global `run`: each run must move another study, as the
 * job of a move that was cancelled may go on. */
static void cancel_runs(int runs, const modalua_config *like, const char *script, int times)
{
    for (int i = 0; i < runs; i++) {
        canceller c = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, NULL, false, 0, 0, 0 };
        modalua_config config = *like;
        pthread_t thread;
        char number[16];
        int status;
        double ended;
        config.user = &c;
        if (modalua_create(&c.rt, &config) != MODALUA_OK)
            fail("no runtime");
        snprintf(number, sizeof number, "%d", i + 1);
        if (modalua_set_global(c.rt, "run", number) != MODALUA_OK)
            fail(modalua_last_error(c.rt));
        c.pause_ms = PAUSE_MS * i / runs; /* anywhere between two polls of the job */
        c.times = times;
        if (pthread_create(&thread, NULL, cancel, &c) != 0)
            fail("no thread");
        status = modalua_run_string(c.rt, "=hosting", script, strlen(script));
        ended = now();
        if (status != MODALUA_E_CANCELLED)
            fail(modalua_last_error(c.rt));
        pthread_join(thread, NULL);
        printf("%.9f\n", ended - c.asked);
        modalua_destroy(c.rt);
    }
}

int main(int argc, char **argv)
{
    const char *action = argc > 2 ? argv[1] : "";
    int runs = argc > 2 ? atoi(argv[2]) : 0;
    modalua_config config;
    char script[400];
    modalua_config_init(&config);
    config.write = on_print;
    if (strcmp(action, "create") == 0)
        create(runs);
    else if (strcmp(action, "move") == 0 && argc == 5) {
        config.write = NULL;
        config.log = on_request;
        config.url = argv[3];
        snprintf(script, sizeof script,
                 "local server = require 'modalua'.connect()\n"
                 "local query = { Level = 'Study', Query = { PatientID = 'FP*' } }\n"
                 "local found = assert(server:modality '%s':find(query))\n"
                 "assert(server:query(found.ID):move({ TargetAet = 'ANY' }, run))",
                 argv[4]);
        cancel_runs(runs, &config, script, 1);
    } else if (strcmp(action, "spin") == 0)
        cancel_runs(runs, &config, "print() while true do end", 1);
    else if (strcmp(action, "hold") == 0)
        cancel_runs(
            runs, &config,
            "local function spin() while true do end end print() while true do pcall(spin) end", 2);
    else
        fail("usage: hosting create|spin|hold RUNS | move RUNS URL MODALITY");
    return 0;
}
