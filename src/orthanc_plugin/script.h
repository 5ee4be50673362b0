/* orthanc_plugin/script.h - a script: a thread that makes a runtime, runs the file in it, and does so again when the
 * script has failed or is due. */
#ifndef ORTHANC_PLUGIN_SCRIPT_H
#define ORTHANC_PLUGIN_SCRIPT_H

#include <orthanc/OrthancCPlugin.h>
#include <pthread.h>
#include <stdbool.h>
#include <time.h>

#include "modalua.h"
#include "orthanc_plugin/events.h"
#include "orthanc_plugin/follow.h"
#include "orthanc_plugin/log.h"
#include "orthanc_plugin/rest.h"
#include "orthanc_plugin/settings.h"
#include "orthanc_plugin/text.h"

/* What the scripts share. */
typedef struct script_host {
    OrthancPluginContext *context;
    const settings *settings;
    follow *follow;
} script_host;

typedef enum script_state {
    SCRIPT_WAITS, /* until it is due */
    SCRIPT_RUNS,
    SCRIPT_DONE,   /* it has ended well, and is not started again */
    SCRIPT_FAILED, /* it is started again after a while, or its schedule is asked again */
    SCRIPT_STOPPED /* a person has stopped it */
} script_state;

typedef struct route_call route_call;

typedef struct script {
    const script_host *host;
    const script_settings *settings;
    script_log log;
    event_queue events;
    rest_pool *pool;

    /* ---- behind the lock ---- */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    bool has_thread;
    bool quits;          /* the server stops */
    bool ended;          /* the thread has nothing to do any more */
    bool is_stopped;     /* by a person */
    bool again;          /* it is to be started now */
    modalua_runtime *rt; /* NULL = none; it may be cancelled as long as it is here */
    bool cancelled;      /* that runtime has been cancelled */
    bool serves;         /* it has begun the file: calls of its routes can be posted */
    route_call *calls;   /* that have not been answered (calls.h) */
    unsigned long last_call;
    script_state state;
    time_t since, due; /* since when it is in that state; when it is started again */
    unsigned restarts; /* after a failure */
    bool is_unplanned; /* at `due`, the schedule is asked again: it has not been able to answer */
    char *last_error;  /* NULL = none */
    modalua_statistics statistics;

    /* ---- of its thread ---- */
    bool has_run;
    bool is_routine;   /* its schedule, or a failure, has started this run, and not the first one */
    bool is_new_error; /* the last run has failed for another reason than the one before */
    time_t started;    /* the last run */
    unsigned failures; /* in a row */
} script;

/* How many requests a script can have at this server at a time. */
unsigned script_threads(const script_settings *s);

/* NULL: not enough memory. */
script *script_new(const script_host *host, const script_settings *of);

/* Starts its thread, which is what starts the script. False: it could not be started; that is in the log. */
bool script_begin(script *s);

/* The prelude of a run has ended, and with it what it knew of a cancel: cancels the run of the file too. */
void script_keep_cancel(script *s);

/* What a person wants. script_stop ends the script; it returns before it has ended. */
void script_start(script *s);
void script_stop(script *s);
void script_restart(script *s);

/* The server stops: the script ends within its grace. */
void script_quit(script *s);

/* Waits for that, and for its requests, at most until then (CLOCK_REALTIME). Later requests fail. */
void script_wait(script *s, const struct timespec *until);

/* Waits for its thread, at most until then, and frees it. NULL is fine. False: a call that cannot be interrupted keeps the thread, and
 * nothing has been freed. */
bool script_free(script *s, const struct timespec *until);

/* Adds its state as a JSON object. */
void script_describe(script *s, text *t);

#endif
