/* runs.h - helpers of the programs that test a runtime from the side of its host. */
#ifndef RUNS_H
#define RUNS_H

#include <string.h>
#include <time.h>

#include "check.h"
#include "modalua.h"

/* A value of config.run_seconds: a test that takes longer hangs, and has failed. */
#define WATCHDOG 600

/* The monotonic clock in seconds. Needs _POSIX_C_SOURCE. */
static inline double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* The concatenated texts of the calls of a modalua_write_fn: collect, with an output as `user`. */
typedef struct output {
    char text[4096];
    size_t size;
} output;

static inline void collect(void *user, const char *text, size_t size)
{
    output *o = user;
    CHECK(o->size + size < sizeof o->text);
    memcpy(o->text + o->size, text, size);
    o->size += size;
    o->text[o->size] = '\0';
}

/* The URL of the fault server, which is the argument of the program. */
static inline const char *server_url(int argc, char **argv)
{
    CHECK(argc == 2 && strncmp(argv[1], "http://", 7) == 0);
    return argv[1];
}

/* The same URL, with credentials. */
static inline const char *url_with_password(const char *url)
{
    static char with_password[300];
    CHECK(strlen(url) < 200);
    snprintf(with_password, sizeof with_password, "http://user:secret@%s", url + 7);
    return with_password;
}

static inline modalua_runtime *make(const modalua_config *config)
{
    modalua_runtime *rt = NULL;
    CHECK(modalua_create(&rt, config) == MODALUA_OK && rt);
    return rt;
}

static inline modalua_config watched(void)
{
    modalua_config config;
    modalua_config_init(&config);
    config.run_seconds = WATCHDOG;
    return config;
}

static inline int run(modalua_runtime *rt, const char *code)
{
    return modalua_run_string(rt, "=test", code, strlen(code));
}

/* Runs a script that must succeed. */
static inline void pass(modalua_runtime *rt, const char *code)
{
    int status = run(rt, code);
    if (status != MODALUA_OK)
        fprintf(stderr, "%s\nin: %s\n", modalua_last_error(rt), code);
    CHECK(status == MODALUA_OK);
}

static inline int start(modalua_runtime *rt, const char *code)
{
    return modalua_start_string(rt, "=test", code, strlen(code), NULL, NULL);
}

/* Steps until the run has ended, and returns its status. */
static inline int finish(modalua_runtime *rt)
{
    int status;
    do
        status = modalua_step(rt, -1);
    while (status == MODALUA_WORKING);
    return status;
}

#endif
