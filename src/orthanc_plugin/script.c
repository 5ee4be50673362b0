#include "orthanc_plugin/script.h"

#include <stdlib.h>
#include <string.h>

#include "orthanc_plugin/calls.h"
#include "orthanc_plugin/runtime.h"
#include "orthanc_plugin/schedule.h"

enum {
    THREADS = 8,
    CLEANUPS = 2,      /* the cleanup requests that modalua makes beside the others */
    REFRESH_MS = 1000, /* how often the statistics of a script that only waits are read */
    LONG_RUN = 60      /* seconds; the failure of a run that was so long is the first one again */
};

/* The lock is held. */
static void set_state(script *s, script_state state, time_t due)
{
    s->state = state;
    s->since = time(NULL);
    s->due = due;
    s->is_unplanned = false;
}

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
    set_state(s, SCRIPT_WAITS, SCHEDULE_NEVER);
    log_init(&s->log, host->context, of->name);
    events_init(&s->events);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    return s;
}

/* ---- states; the lock is held ---- */

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
    s->statistics = (modalua_statistics){ 0 };
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

static void refresh(script *s, const modalua_runtime *rt)
{
    modalua_statistics now = { .struct_size = sizeof now };
    if (modalua_stats(rt, &now) == MODALUA_OK) {
        pthread_mutex_lock(&s->lock);
        s->statistics = now;
        pthread_mutex_unlock(&s->lock);
    }
    follow_refresh(s->host->follow, s);
    log_refresh(&s->log);
}

static int drive(script *s, modalua_runtime *rt)
{
    int status = runtime_start(s, rt);
    if (status != MODALUA_OK)
        return status;
    pthread_mutex_lock(&s->lock);
    s->serves = true;
    pthread_mutex_unlock(&s->lock);
    status = modalua_step(rt, REFRESH_MS);
    if (status == MODALUA_WORKING || status == MODALUA_OK)
        runtime_warn(s, rt);
    for (; status == MODALUA_WORKING; status = modalua_step(rt, REFRESH_MS))
        refresh(s, rt);
    refresh(s, rt);
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
        text_add(&t, why, log_cut(why, strcspn(why, "\n")));
    pthread_mutex_lock(&s->lock);
    s->is_new_error = !s->last_error || !t.data || strcmp(s->last_error, t.data) != 0;
    free(s->last_error);
    s->last_error = t.data;
    pthread_mutex_unlock(&s->lock);
}

/* Returns the status of the run; what the last error is when that is a failure. */
static int script_run(script *s)
{
    modalua_runtime *rt = NULL;
    int status = runtime_new(s, &rt);
    if (status == MODALUA_OK) {
        show_runtime(s, rt);
        log_line(&s->log, s->is_routine ? LOG_NOTE : LOG_WARNING, "starts");
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
    log_flush(&s->log);
    return status;
}

/* ---- the life of a script ---- */

typedef enum next_act { ACT_END, ACT_RUN, ACT_PLAN } next_act;

/* Waits until the script is to be started, or its schedule to be asked again, or the server stops. It looks each
 * second: the wall clock may be set, and a route or a filter without its script can have lines that are held. */
static next_act wait_until_due(script *s)
{
    next_act act = ACT_END;
    pthread_mutex_lock(&s->lock);
    while (!s->quits && act == ACT_END) {
        time_t now = time(NULL);
        struct timespec later = { now + 1, 0 };
        log_refresh(&s->log);
        if (s->again)
            act = ACT_RUN;
        else if (!s->is_stopped && s->due != SCHEDULE_NEVER && now >= s->due)
            act = s->is_unplanned ? ACT_PLAN : ACT_RUN;
        else
            pthread_cond_timedwait(&s->changed, &s->lock, &later);
    }
    if (act == ACT_RUN) {
        s->is_routine = s->has_run && !s->again;
        s->again = false;
    }
    pthread_mutex_unlock(&s->lock);
    return act;
}

/* A run that a person or the server has ended. The lock is held. */
static void note_unwanted(script *s)
{
    if (s->is_stopped)
        set_state(s, SCRIPT_STOPPED, SCHEDULE_NEVER);
    else
        set_state(s, SCRIPT_WAITS, time(NULL));
    log_line(&s->log, LOG_WARNING, s->quits ? "ended, as the server stops" : "stopped");
}

/* When the script is due, as its schedule says. That makes a runtime, so the lock is not held. */
static time_t ask_schedule(const script *s)
{
    time_t now = time(NULL);
    return s->has_run ? schedule_next(s->settings, s->started, now)
                      : schedule_first(s->settings, now);
}

/* The script is due then. When that cannot be found, its schedule is asked again later. The lock is held. */
static void plan(script *s, time_t due)
{
    static const char unknown[] =
        "its next time cannot be found (memory, or the file of its time zone)";
    if (due != SCHEDULE_UNKNOWN) {
        s->failures = 0;
        set_state(s, due == SCHEDULE_NEVER ? SCRIPT_DONE : SCRIPT_WAITS, due);
        return;
    }
    set_state(s, SCRIPT_FAILED, schedule_again(++s->failures, time(NULL)));
    s->is_unplanned = true;
    free(s->last_error);
    s->last_error = strdup(unknown);
    log_line(&s->log, LOG_ERROR, "%s, and is looked for again in %ld s", unknown,
             (long)(s->due - s->since));
}

/* Whether the log of the server has that failure of several in a row: the first ones, and then fewer and fewer. */
static bool is_logged_as_error(const script *s)
{
    return s->is_new_error || s->failures < 8 || (s->failures & (s->failures - 1)) == 0;
}

static void note_failure(script *s, bool was_long)
{
    s->failures = was_long ? 1 : s->failures + 1;
    s->restarts++;
    set_state(s, SCRIPT_FAILED, schedule_again(s->failures, time(NULL)));
    log_line(&s->log, is_logged_as_error(s) ? LOG_ERROR : LOG_NOTE,
             "failed, and is started again in %ld s: %s", (long)(s->due - s->since),
             s->last_error ? s->last_error : "?");
}

static void note_end(script *s, int status)
{
    bool was_long = time(NULL) - s->started >= LONG_RUN;
    time_t due = status == MODALUA_OK ? ask_schedule(s) : SCHEDULE_NEVER;
    pthread_mutex_lock(&s->lock);
    if (is_unwanted(s)) {
        note_unwanted(s);
    } else if (status == MODALUA_OK) {
        s->failures = 0;
        log_line(&s->log, s->is_routine ? LOG_NOTE : LOG_WARNING, "has ended well");
        plan(s, due);
    } else {
        note_failure(s, was_long);
    }
    pthread_mutex_unlock(&s->lock);
}

static void plan_again(script *s)
{
    time_t due = ask_schedule(s);
    pthread_mutex_lock(&s->lock);
    if (!is_unwanted(s)) /* otherwise that wish decides */
        plan(s, due);
    pthread_mutex_unlock(&s->lock);
}

static void *live(void *user)
{
    script *s = user;
    next_act act;
    while ((act = wait_until_due(s)) != ACT_END) {
        if (act == ACT_PLAN) {
            plan_again(s);
            continue;
        }
        s->has_run = true;
        s->started = time(NULL);
        note_end(s, script_run(s));
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
    time_t due = ask_schedule(s);
    pthread_mutex_lock(&s->lock);
    plan(s, due);
    error = pthread_create(&s->thread, NULL, live, s);
    if (error == 0)
        pthread_setname_np(s->thread, "modalua:script");
    else
        log_line(&s->log, LOG_ERROR, "its thread cannot be started: %s", strerror(error));
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
        log_line(&s->log, LOG_ERROR, "has not ended in time");
    rest_pool_wait(pool, until);
    rest_pool_close(pool);
}

bool script_free(script *s, const struct timespec *until)
{
    if (!s)
        return true;
    if (s->has_thread && pthread_timedjoin_np(s->thread, NULL, until) != 0) {
        log_line(&s->log, LOG_ERROR,
                 "is inside a call that cannot be interrupted, and is left behind");
        log_flush(&s->log);
        return false;
    }
    log_flush(&s->log);
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

/* What is known when the script waits; null while it has not waited yet. */
static void add_present(text *t, const script *s, const char *name, double number)
{
    if (!s->rt || s->statistics.memory > 0)
        add_number(t, name, s->rt ? number : 0);
    else
        text_member_string(t, name, NULL);
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
    add_present(t, s, "Memory", (double)n->memory);
    add_present(t, s, "Tasks", n->tasks);
    add_present(t, s, "RunningRequests", n->requests_running);
    add_number(t, "Requests", n->requests);
    text_add(t, "}", 1);
    pthread_mutex_unlock(&s->lock);
}
