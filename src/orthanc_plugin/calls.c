#include "orthanc_plugin/calls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Statuses of HTTP: the function has failed; nothing can answer at the moment. */
enum { FAILED = 500, UNAVAILABLE = 503 };

static const char no_memory[] = "not enough memory";

/* A call that waits for its answer; on the stack of the thread that waits. Behind the script's lock. */
struct route_call {
    route_call *next;
    unsigned long id, task;
    const void *body; /* of the request */
    size_t body_size;
    call_answer *answer;
    bool has_ended; /* with or without an answer */
    bool is_answered;
    char *error;      /* why it has no answer; NULL = not enough memory for that */
    int error_status; /* of HTTP */
};

/* The lock is held. */
static route_call *find_call(const script *s, unsigned long id, unsigned long task)
{
    route_call *c = s->calls;
    while (c && c->id != id && (task == 0 || c->task != task))
        c = c->next;
    return c;
}

/* ---- what modalua.host calls: modalua_functions; user is the script ---- */

static void on_body(void *user, const char *arguments, modalua_reply *reply)
{
    script *s = user;
    const route_call *c;
    pthread_mutex_lock(&s->lock);
    c = find_call(s, strtoul(arguments + 1, NULL, 10), 0);
    modalua_reply_text(reply, c && c->body ? c->body : "", c ? c->body_size : 0);
    pthread_mutex_unlock(&s->lock);
}

/* There is no answer. The lock is held. */
static void end_call(route_call *c, int status, const char *message)
{
    c->error = strdup(message);
    c->error_status = status;
    c->has_ended = true;
}

/* The function has failed. The lock is held. */
static void fail_call(script *s, route_call *c, const char *name, const char *message)
{
    end_call(c, FAILED, message);
    if (name[0])
        log_repeated(&s->log, LOG_ROUTE, "%s failed: %s", name, message);
    pthread_cond_broadcast(&s->changed);
}

/* False: not enough memory. */
static bool fill_answer(call_answer *a, int status, const char *type, const char *body, size_t size)
{
    char *copy = malloc(size + 1);
    if (!copy)
        return false;
    memcpy(copy, body ? body : "", size);
    copy[size] = '\0';
    a->status = status;
    a->type = strdup(type ? type : "text/plain");
    a->body = copy;
    a->size = size;
    return true;
}

/* answer(id, status, type, body). Status 0: the function has failed; type is its name for the log, and body says why. */
static void on_answer(void *user, const char *arguments, modalua_reply *reply)
{
    script *s = user;
    char *behind;
    unsigned long id = strtoul(arguments + 1, &behind, 10);
    int status = (int)strtol(behind + 1, NULL, 10);
    size_t size = 0;
    const char *type = modalua_argument_bytes(reply, 3, NULL);
    const char *body = modalua_argument_bytes(reply, 4, &size);
    route_call *c;
    pthread_mutex_lock(&s->lock);
    c = find_call(s, id, 0);
    if (c && !c->has_ended && status == 0) {
        fail_call(s, c, type ? type : "", body ? body : "");
    } else if (c && !c->has_ended) {
        c->is_answered = c->has_ended = fill_answer(c->answer, status, type, body, size);
        if (!c->is_answered)
            end_call(c, FAILED, no_memory);
        pthread_cond_broadcast(&s->changed);
    }
    pthread_mutex_unlock(&s->lock);
}

int calls_register(script *s, modalua_runtime *rt)
{
    char name[100];
    int status = modalua_register(rt, "modalua_native.body", on_body, s);
    if (status == MODALUA_OK)
        status = modalua_register(rt, "modalua_native.answer", on_answer, s);
    snprintf(name, sizeof name, "\"%s\"", s->settings->name);
    if (status == MODALUA_OK)
        status = modalua_set_global(rt, "modalua_native.name", name);
    if (status == MODALUA_OK)
        status = settings_set_filter_names(rt, "modalua_native.filter_names", ~0u);
    return status == MODALUA_OK
               ? settings_set_filter_names(rt, "modalua_native.filters", s->settings->filters)
               : status;
}

/* ---- a call ---- */

/* The task of a call has ended, well or not. */
static void on_end(void *user, modalua_runtime *rt, unsigned long task, int status,
                   const char *json)
{
    script *s = user;
    route_call *c;
    (void)rt;
    pthread_mutex_lock(&s->lock);
    c = find_call(s, 0, task);
    if (c && !c->has_ended) {
        end_call(c, status == MODALUA_E_CANCELLED ? UNAVAILABLE : FAILED,
                 status == MODALUA_OK            ? "the function gave no answer"
                 : status == MODALUA_E_CANCELLED ? "the script has been stopped"
                 : status == MODALUA_E_SCRIPT    ? json
                                                 : modalua_strerror(status));
        pthread_cond_broadcast(&s->changed);
    }
    pthread_mutex_unlock(&s->lock);
}

void calls_end(script *s)
{
    for (route_call *c = s->calls; c; c = c->next)
        if (!c->has_ended)
            end_call(c, UNAVAILABLE, "the script has ended");
    pthread_cond_broadcast(&s->changed);
}

/* Waits for the answer. The lock is held. */
static bool wait_for_answer(script *s, const route_call *c, double seconds)
{
    struct timespec end;
    int failed = 0;
    clock_gettime(CLOCK_REALTIME, &end);
    seconds += (double)end.tv_nsec * 1e-9;
    end.tv_sec += (time_t)seconds;
    end.tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9);
    while (!c->has_ended && failed == 0)
        failed = pthread_cond_timedwait(&s->changed, &s->lock, &end);
    return c->is_answered;
}

/* Puts the call into the list, and takes it out. The lock is held. */
static void add_call(script *s, route_call *c)
{
    c->next = s->calls;
    s->calls = c;
}

static void remove_call(script *s, const route_call *c)
{
    route_call **at = &s->calls;
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
}

/* Fills what the answer is without one. The lock is held. */
static void explain(script *s, const route_call *c, call_answer *answer, char *why, size_t why_size)
{
    const char *error = c->error ? c->error : no_memory;
    answer->status = c->has_ended ? c->error_status : CALL_TOO_LATE;
    snprintf(why, why_size, "%s", c->has_ended ? error : "the script has not answered in time");
    if (!c->has_ended && s->rt)
        modalua_cancel_task(s->rt, c->task);
}

bool calls_ask(script *s, const char *function, const char *members, const call_body *body,
               double seconds, call_answer *answer, char *why, size_t why_size)
{
    route_call c = { .body = body ? body->data : NULL,
                     .body_size = body ? body->size : 0,
                     .answer = answer };
    text t = { 0 };
    bool is_answered = false;
    int status = MODALUA_E_INVALID;
    *answer = (call_answer){ .status = UNAVAILABLE };
    snprintf(why, why_size, "the script does not run");
    pthread_mutex_lock(&s->lock);
    c.id = ++s->last_call;
    text_format(&t, "{\"id\":%lu,%s}", c.id, members);
    if (s->serves) {
        status =
            t.failed ? MODALUA_E_NOMEM : modalua_post(s->rt, function, t.data, on_end, s, &c.task);
        if (status != MODALUA_OK)
            snprintf(why, why_size, "the call cannot be given to the script: %s",
                     modalua_strerror(status));
    }
    if (status == MODALUA_OK) {
        add_call(s, &c);
        is_answered = wait_for_answer(s, &c, seconds);
        remove_call(s, &c);
        if (!is_answered)
            explain(s, &c, answer, why, why_size);
    }
    pthread_mutex_unlock(&s->lock);
    free(c.error);
    text_free(&t);
    return is_answered;
}
