#include "orthanc_plugin/execute.h"

#include <stdlib.h>
#include <string.h>

enum {
    AT_ONCE = 4,
    THREADS = 4,
    MEMORY = 64 << 20,
    SECONDS = 10,
    OUTPUT = 1 << 20 /* bytes of output that are kept */
};

struct executor {
    rest_pool *pool;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    modalua_runtime *running[AT_ONCE]; /* NULL = a free place */
    unsigned count;
    bool stops;
};

/* One execution. */
typedef struct execution {
    executor *executor;
    text output;
    bool is_cut; /* there was more output */
    int status;
    text outcome; /* the result or the error, as JSON; empty = there is no result */
} execution;

executor *executor_new(const script_host *host)
{
    executor *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    e->pool = rest_pool_new(host->context, THREADS);
    if (!e->pool) {
        free(e);
        return NULL;
    }
    pthread_mutex_init(&e->lock, NULL);
    pthread_cond_init(&e->changed, NULL);
    return e;
}

void executor_stop(executor *e, const struct timespec *until)
{
    int failed = 0;
    pthread_mutex_lock(&e->lock);
    e->stops = true;
    for (size_t i = 0; i < AT_ONCE; i++)
        modalua_cancel_sticky(e->running[i]);
    while (e->count > 0 && failed == 0)
        failed = pthread_cond_timedwait(&e->changed, &e->lock, until);
    pthread_mutex_unlock(&e->lock);
    rest_pool_wait(e->pool, until);
    rest_pool_close(e->pool);
}

void executor_free(executor *e)
{
    if (!e)
        return;
    rest_pool_free(e->pool);
    pthread_mutex_destroy(&e->lock);
    pthread_cond_destroy(&e->changed);
    free(e);
}

/* ---- callbacks of the runtime; user is the execution ---- */

static void execute_print(void *user, const char *data, size_t size)
{
    execution *x = user;
    if (!x->is_cut && x->output.size + size <= OUTPUT) {
        text_add(&x->output, data, size);
    } else if (!x->is_cut) {
        x->is_cut = true;
        text_format(&x->output, "\n(cut at 1 MB)\n");
    }
}

static void execute_transport(void *user, const modalua_request *request,
                              modalua_response *response)
{
    execution *x = user;
    rest_pool_send(x->executor->pool, request, response);
}

static void execute_done(void *user, modalua_runtime *rt, unsigned long task, int status,
                         const char *json)
{
    execution *x = user;
    (void)rt;
    (void)task;
    x->status = status;
    if (json)
        text_add(&x->outcome, json, strlen(json));
}

/* ---- one execution ---- */

/* A place in the list. False: there is none. */
static bool enter(executor *e, modalua_runtime *rt)
{
    bool entered = false;
    pthread_mutex_lock(&e->lock);
    for (size_t i = 0; i < AT_ONCE && !entered && !e->stops; i++)
        if (!e->running[i]) {
            e->running[i] = rt;
            e->count++;
            entered = true;
        }
    pthread_mutex_unlock(&e->lock);
    return entered;
}

static void leave(executor *e, const modalua_runtime *rt)
{
    pthread_mutex_lock(&e->lock);
    for (size_t i = 0; i < AT_ONCE; i++)
        if (e->running[i] == rt)
            e->running[i] = NULL;
    pthread_mutex_unlock(&e->lock);
}

/* The runtime is gone, and its requests do not need the pool any more. */
static void release_place(executor *e)
{
    pthread_mutex_lock(&e->lock);
    e->count--;
    pthread_cond_broadcast(&e->changed);
    pthread_mutex_unlock(&e->lock);
}

static modalua_runtime *make(execution *x)
{
    modalua_runtime *rt = NULL;
    modalua_config config;
    modalua_config_init(&config);
    config.memory_limit = MEMORY;
    config.run_seconds = SECONDS;
    config.grace_seconds = 1;
    config.flags = MODALUA_SANDBOX;
    config.write = execute_print;
    config.user = x;
    config.url = REST_URL;
    config.transport = execute_transport;
    modalua_create(&rt, &config);
    return rt;
}

/* Runs the script as a task beside an empty one: so it is compiled under its own name, and its result is kept. */
static void run_source(execution *x, modalua_runtime *rt, const char *source, size_t size)
{
    const char *json;
    x->status = modalua_start_string(rt, "=execute", "", 0, NULL, NULL);
    if (x->status == MODALUA_OK)
        x->status = modalua_spawn_string(rt, "=script", source, size, execute_done, x, NULL);
    if (x->status == MODALUA_OK) {
        int end;
        while ((end = modalua_step(rt, -1)) == MODALUA_WORKING)
            ;
        if (end == MODALUA_OK) /* otherwise a limit, or the end of the server, has ended the run */
            return;
        x->status = end;
    }
    text_free(&x->outcome);
    json = modalua_last_error_json(rt);
    text_add(&x->outcome, json, strlen(json));
}

static void describe(text *t, const execution *x)
{
    const char *outcome = x->outcome.data ? x->outcome.data : "null";
    bool good = x->status == MODALUA_OK;
    text_add(t, "{", 1);
    text_member(t, "Result");
    text_add(t, good ? outcome : "null", strlen(good ? outcome : "null"));
    text_member(t, "Output");
    text_add_json(t, x->output.data ? x->output.data : "", x->output.size);
    text_member(t, "Error");
    text_add(t, good ? "null" : outcome, strlen(good ? "null" : outcome));
    text_add(t, "}", 1);
    t->failed = t->failed || x->output.failed || x->outcome.failed;
}

int executor_run(executor *e, const char *source, size_t size, text *t)
{
    execution x = { .executor = e };
    modalua_runtime *rt = make(&x);
    if (!rt || !enter(e, rt)) {
        modalua_destroy(rt);
        return 503;
    }
    run_source(&x, rt, source, size);
    leave(e, rt);
    describe(t, &x);
    modalua_destroy(rt);
    release_place(e);
    text_free(&x.output);
    text_free(&x.outcome);
    return 200;
}
