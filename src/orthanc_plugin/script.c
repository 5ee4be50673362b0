#include "orthanc_plugin/script.h"

#include <stdlib.h>
#include <string.h>

#include "orthanc_plugin/calls.h"
#include "orthanc_plugin/runtime.h"
#include "orthanc_plugin/schedule.h"

enum {
    THREADS = 8,
    CLEANUPS = 2,   /* the cleanup requests that modalua makes beside the others */
    LOOK_MS = 1000, /* how often a script that only waits looks around */
    LONG_RUN = 60   /* seconds; the failure of a run that was so long is the first one again */
};

/* ---- making one ---- */

unsigned script_threads(const script_settings *s)
{
    return s->threads ? s->threads : THREADS;
}

script *script_new(const script_host *host, const script_settings *of)
{
    script *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->pool = rest_pool_new(host->context, script_threads(of) + CLEANUPS);
    if (!s->pool) {
        free(s);
        return NULL;
    }
    s->host = host;
    s->settings = of;
    s->since = time(NULL);
    s->due = SCHEDULE_NEVER;
    log_init(&s->log, host->context, of->name);
    events_init(&s->events);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    return s;
}

/* ---- states; the lock is held ---- */

static void set_state(script *s, script_state state, time_t due)
{
    s->state = state;
    s->since = time(NULL);
    s->due = due;
}

/* The run under way is to end. */
static bool is_unwanted(const script *s)
{
    return s->quits || s->is_stopped || s->again;
}

/* A second cancel of a runtime would kill it without its grace. */
static void cancel(script *s)
{
    if (s->rt && !s->cancelled) {
        s->cancelled = true;
        modalua_cancel_sticky(s->rt);
    }
    pthread_cond_broadcast(&s->changed);
}

/* ---- one run, on the thread of the script ---- */

/* The runtime may be cancelled from now on. A wish that came before it was there is not lost. */
static void show_runtime(script *s, modalua_runtime *rt)
{
    pthread_mutex_lock(&s->lock);
    s->rt = rt;
    s->cancelled = false;
    set_state(s, SCRIPT_RUNS, SCHEDULE_NEVER);
    if (is_unwanted(s))
        cancel(s);
    pthread_mutex_unlock(&s->lock);
}

void script_keep_cancel(script *s)
{
    pthread_mutex_lock(&s->lock);
    if (s->cancelled)
        modalua_cancel_sticky(s->rt);
    pthread_mutex_unlock(&s->lock);
}

static void hide_runtime(script *s)
{
    pthread_mutex_lock(&s->lock);
    s->rt = NULL;
    s->serves = false;
    calls_end(s);
    pthread_mutex_unlock(&s->lock);
}

static void look(script *s, const modalua_runtime *rt)
{
    modalua_statistics now = { .struct_size = sizeof now };
    if (modalua_stats(rt, &now) == MODALUA_OK) {
        pthread_mutex_lock(&s->lock);
        s->statistics = now;
        pthread_mutex_unlock(&s->lock);
    }
    follow_look(s->host->follow, s);
}

static int drive(script *s, modalua_runtime *rt)
{
    int status = runtime_start(s, rt);
    if (status != MODALUA_OK)
        return status;
    pthread_mutex_lock(&s->lock);
    s->serves = true;
    pthread_mutex_unlock(&s->lock);
    status = modalua_step(rt, LOOK_MS);
    if (status == MODALUA_WORKING || status == MODALUA_OK)
        runtime_warn(s, rt);
    for (; status == MODALUA_WORKING; status = modalua_step(rt, LOOK_MS))
        look(s, rt);
    look(s, rt);
    return status;
}

/* Notes why the run has failed, in one line. */
static void set_error(script *s, const modalua_runtime *rt, int status)
{
    text t = { 0 };
    const char *why = rt ? modalua_last_error(rt) : modalua_strerror(status);
    if (status == MODALUA_E_CANCELLED)
        return; /* a person or the server has stopped it */
    if (status == MODALUA_EXIT)
        text_format(&t, "the script called os.exit(%d)", modalua_exit_code(rt));
    else
        text_add(&t, why, strcspn(why, "\n"));
    pthread_mutex_lock(&s->lock);
    free(s->last_error);
    s->last_error = t.data;
    pthread_mutex_unlock(&s->lock);
}

/* Returns the status of the run; what the last error is when that is a failure. */
static int run(script *s)
{
    modalua_runtime *rt = NULL;
    int status = runtime_new(s, &rt);
    if (status == MODALUA_OK) {
        show_runtime(s, rt);
        log_line(&s->log, 0, "starts");
        status = drive(s, rt);
        hide_runtime(s);
        if (status == MODALUA_EXIT && modalua_exit_code(rt) == 0)
            status = MODALUA_OK;
    }
    if (status != MODALUA_OK)
        set_error(s, rt, status);
    follow_leave(s->host->follow, s);
    events_leave(&s->events);
    modalua_destroy(rt);
    log_end(&s->log);
    return status;
}

/* ---- the life of a script ---- */

/* Waits until the script is to be started. False: the server stops. */
static bool wait_until_due(script *s)
{
    bool starts = false;
    pthread_mutex_lock(&s->lock);
    while (!s->quits && !starts) {
        time_t now = time(NULL);
        struct timespec later = { now + 1, 0 }; /* the wall clock may be set */
        starts = s->again || (!s->is_stopped && s->due != SCHEDULE_NEVER && now >= s->due);
        if (starts)
            s->again = false;
        else if (s->is_stopped || s->due == SCHEDULE_NEVER)
            pthread_cond_wait(&s->changed, &s->lock);
        else
            pthread_cond_timedwait(&s->changed, &s->lock, &later);
    }
    pthread_mutex_unlock(&s->lock);
    return starts;
}

/* A run that a person or the server has ended. The lock is held. */
static void note_unwanted(script *s)
{
    if (s->is_stopped)
        set_state(s, SCRIPT_STOPPED, SCHEDULE_NEVER);
    else
        set_state(s, SCRIPT_WAITS, time(NULL));
    log_line(&s->log, 0, s->quits ? "ended, as the server stops" : "stopped");
}

/* When the script is due, as the schedule says. */
static time_t due_of(script *s, time_t due)
{
    if (due != SCHEDULE_UNKNOWN)
        return due;
    log_line(&s->log, 1,
             "its next time cannot be found (memory, or the file of its time zone), and it is not "
             "started by itself");
    return SCHEDULE_NEVER;
}

static void note_end(script *s, int status, time_t start, unsigned *failures)
{
    time_t now = time(NULL);
    pthread_mutex_lock(&s->lock);
    if (is_unwanted(s)) {
        note_unwanted(s);
    } else if (status == MODALUA_OK) {
        time_t next = due_of(s, schedule_next(s->settings, start, now));
        *failures = 0;
        set_state(s, next == SCHEDULE_NEVER ? SCRIPT_DONE : SCRIPT_WAITS, next);
        log_line(&s->log, 0, "has ended well");
    } else {
        *failures = now - start >= LONG_RUN ? 1 : *failures + 1;
        s->restarts++;
        set_state(s, SCRIPT_FAILED, schedule_again(*failures, now));
        log_line(&s->log, 1, "failed, and is started again in %ld s: %s", (long)(s->due - now),
                 s->last_error ? s->last_error : "?");
    }
    pthread_mutex_unlock(&s->lock);
}

static void *live(void *user)
{
    script *s = user;
    unsigned failures = 0;
    while (wait_until_due(s)) {
        time_t start = time(NULL);
        note_end(s, run(s), start, &failures);
    }
    pthread_mutex_lock(&s->lock);
    s->ended = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

bool script_begin(script *s)
{
    int error;
    pthread_mutex_lock(&s->lock);
    s->due = due_of(s, schedule_first(s->settings, time(NULL)));
    error = pthread_create(&s->thread, NULL, live, s);
    if (error == 0)
        pthread_setname_np(s->thread, "modalua:script");
    else
        log_line(&s->log, 1, "its thread cannot be started: %s", strerror(error));
    s->has_thread = error == 0;
    pthread_mutex_unlock(&s->lock);
    return error == 0;
}

void script_quit(script *s)
{
    pthread_mutex_lock(&s->lock);
    s->quits = true;
    cancel(s);
    pthread_mutex_unlock(&s->lock);
}

void script_wait(script *s, const struct timespec *until)
{
    int failed = 0;
    rest_pool *pool;
    pthread_mutex_lock(&s->lock);
    while (s->has_thread && !s->ended && failed == 0)
        failed = pthread_cond_timedwait(&s->changed, &s->lock, until);
    pool = s->pool;
    pthread_mutex_unlock(&s->lock);
    if (failed != 0)
        log_line(&s->log, 1, "has not ended in time");
    rest_pool_wait(pool, until);
    rest_pool_close(pool);
}

bool script_free(script *s, const struct timespec *until)
{
    if (!s)
        return true;
    if (s->has_thread && pthread_timedjoin_np(s->thread, NULL, until) != 0) {
        log_line(&s->log, 1, "is inside a call that cannot be interrupted, and is left behind");
        return false;
    }
    rest_pool_free(s->pool);
    log_free(&s->log);
    events_free(&s->events);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->changed);
    free(s->last_error);
    free(s);
    return true;
}

/* ---- what a person wants ---- */

void script_stop(script *s)
{
    pthread_mutex_lock(&s->lock);
    s->is_stopped = true;
    s->again = false;
    if (s->rt)
        cancel(s);
    else
        set_state(s, SCRIPT_STOPPED, SCHEDULE_NEVER);
    pthread_mutex_unlock(&s->lock);
}

void script_restart(script *s)
{
    pthread_mutex_lock(&s->lock);
    s->is_stopped = false;
    s->again = true;
    cancel(s);
    pthread_mutex_unlock(&s->lock);
}

void script_start(script *s)
{
    bool runs;
    pthread_mutex_lock(&s->lock);
    runs = s->rt && !is_unwanted(s);
    pthread_mutex_unlock(&s->lock);
    if (!runs)
        script_restart(s);
}

/* ---- its state as JSON ---- */

static void add_time(text *t, const char *name, time_t when)
{
    char date[32];
    struct tm parts;
    bool known = when != SCHEDULE_NEVER && gmtime_r(&when, &parts) &&
                 strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", &parts) > 0;
    text_member_string(t, name, known ? date : NULL);
}

static void add_number(text *t, const char *name, double number)
{
    text_member(t, name);
    text_format(t, "%.0f", number);
}

void script_describe(script *s, text *t)
{
    static const char *const states[] = { "waiting", "running", "done", "failed", "stopped" };
    const modalua_statistics *n = &s->statistics;
    pthread_mutex_lock(&s->lock);
    text_add(t, "{", 1);
    text_member_string(t, "Name", s->settings->name);
    text_member_string(t, "Path", s->settings->path);
    text_member_string(t, "State", states[s->state]);
    add_time(t, "Since", s->since);
    add_time(t, "NextStart", s->rt ? SCHEDULE_NEVER : s->due);
    add_number(t, "Restarts", s->restarts);
    text_member_string(t, "LastError", s->last_error);
    add_number(t, "Memory", s->rt ? (double)n->memory : 0);
    add_number(t, "Tasks", s->rt ? n->tasks : 0);
    add_number(t, "RunningRequests", s->rt ? n->requests_running : 0);
    add_number(t, "Requests", n->requests);
    text_add(t, "}", 1);
    pthread_mutex_unlock(&s->lock);
}
