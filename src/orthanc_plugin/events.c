#include "orthanc_plugin/events.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orthanc_plugin/text.h"

void events_init(event_queue *q)
{
    memset(q, 0, sizeof *q);
    q->number = 1;
    pthread_mutex_init(&q->lock, NULL);
}

void events_free(event_queue *q)
{
    free(q->ring);
    pthread_mutex_destroy(&q->lock);
}

/* NULL: a type of the log of changes, or one that tells nothing of itself. */
static const char *type_name(OrthancPluginChangeType type)
{
    switch (type) {
    case OrthancPluginChangeType_Deleted: return "Deleted";
    case OrthancPluginChangeType_JobSubmitted: return "JobSubmitted";
    case OrthancPluginChangeType_JobSuccess: return "JobSuccess";
    case OrthancPluginChangeType_JobFailure: return "JobFailure";
    case OrthancPluginChangeType_UpdatedModalities: return "UpdatedModalities";
    case OrthancPluginChangeType_UpdatedPeers: return "UpdatedPeers";
    default: return NULL;
    }
}

static const char *level_name(OrthancPluginResourceType level)
{
    switch (level) {
    case OrthancPluginResourceType_Patient: return "Patient";
    case OrthancPluginResourceType_Study: return "Study";
    case OrthancPluginResourceType_Series: return "Series";
    case OrthancPluginResourceType_Instance: return "Instance";
    default: return NULL;
    }
}

/* Answers with the number of the event, and the event. */
static void events_answer(modalua_reply *reply, unsigned long number, const event *e)
{
    text t = { 0 };
    text_format(&t, "[%lu,{", number);
    text_member_string(&t, "Type", e->type);
    if (e->level)
        text_member_string(&t, "Level", e->level);
    if (e->id[0])
        text_member_string(&t, "ID", e->id);
    text_add(&t, "}]", 2);
    if (t.failed || modalua_reply_json(reply, t.data) != MODALUA_OK)
        modalua_reply_error(reply, NULL, "not enough memory");
    text_free(&t);
}

/* The lock is held. False: there is no room. */
static bool events_add(event_queue *q, const event *e)
{
    if (q->count == EVENTS_MAX)
        return false;
    q->ring[(q->first + q->count++) % EVENTS_MAX] = *e;
    return true;
}

void events_push(event_queue *q, OrthancPluginChangeType type, OrthancPluginResourceType level,
                 const char *id)
{
    event e = { type_name(type), level_name(level), "" };
    modalua_reply *reply = NULL;
    unsigned long number = 0;
    if (!e.type)
        return;
    snprintf(e.id, sizeof e.id, "%s", id ? id : "");
    pthread_mutex_lock(&q->lock);
    if (q->listens && !events_add(q, &e))
        q->lost++;
    if (q->reply) { /* the ring was empty */
        reply = q->reply;
        q->reply = NULL;
        number = q->number;
    }
    pthread_mutex_unlock(&q->lock);
    if (reply)
        events_answer(reply, number, &e);
}

void events_leave(event_queue *q)
{
    modalua_reply *reply;
    pthread_mutex_lock(&q->lock);
    reply = q->reply;
    q->reply = NULL;
    q->listens = false;
    q->number += q->count;
    q->count = 0;
    q->lost = 0;
    pthread_mutex_unlock(&q->lock);
    if (reply)
        modalua_reply_error(reply, NULL, "the script ends");
}

/* ---- what modalua.host calls: modalua_functions; user is the queue ---- */

static void on_listen(void *user, const char *arguments, modalua_reply *reply)
{
    event_queue *q = user;
    const char *fault = NULL;
    (void)arguments;
    pthread_mutex_lock(&q->lock);
    if (!q->ring)
        q->ring = calloc(EVENTS_MAX, sizeof *q->ring);
    fault = q->ring ? NULL : "not enough memory";
    q->listens = q->listens || q->ring;
    pthread_mutex_unlock(&q->lock);
    if (fault)
        modalua_reply_error(reply, NULL, fault);
}

/* Drops the events that the script has got, up to that number, and copies the next one, or how many were lost. The lock is held. False:
 * there is none. */
static bool events_take(event_queue *q, unsigned long got, event *e)
{
    while (q->count > 0 && q->number <= got) {
        q->first = (q->first + 1) % EVENTS_MAX;
        q->count--;
        q->number++;
    }
    if (q->count == 0 && q->lost > 0) {
        *e = (event){ "Lost", NULL, "" };
        snprintf(e->id, sizeof e->id, "%lu", q->lost);
        q->lost = 0;
        events_add(q, e);
    }
    if (q->count > 0)
        *e = q->ring[q->first];
    return q->count > 0;
}

/* next_event(number): the one behind it. */
static void on_next(void *user, const char *arguments, modalua_reply *reply)
{
    event_queue *q = user;
    modalua_reply *before = NULL; /* of a loop that was left, or has a newer one beside it */
    event e;
    bool is_kept = false, is_there;
    unsigned long number;
    pthread_mutex_lock(&q->lock);
    is_there = events_take(q, strtoul(arguments + 1, NULL, 10), &e);
    number = q->number;
    if (!is_there && modalua_reply_keep(reply) == MODALUA_OK) {
        before = q->reply;
        q->reply = reply;
        is_kept = true;
    }
    pthread_mutex_unlock(&q->lock);
    if (before)
        modalua_reply_error(before, NULL, "a newer loop over host.events() gets the events");
    if (is_there)
        events_answer(reply, number, &e);
    else if (!is_kept)
        modalua_reply_error(reply, NULL, "not enough memory");
}

int events_register(event_queue *q, modalua_runtime *rt)
{
    int status = modalua_register(rt, "modalua_native.listen", on_listen, q);
    return status == MODALUA_OK ? modalua_register(rt, "modalua_native.next_event", on_next, q)
                                : status;
}
