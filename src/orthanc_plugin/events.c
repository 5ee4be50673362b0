#include "orthanc_plugin/events.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orthanc_plugin/text.h"

void events_init(event_queue *q)
{
    memset(q, 0, sizeof *q);
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

static void events_answer(modalua_reply *reply, const event *e)
{
    text t = { 0 };
    text_add(&t, "{", 1);
    text_member_string(&t, "Type", e->type);
    if (e->level)
        text_member_string(&t, "Level", e->level);
    if (e->id[0])
        text_member_string(&t, "ID", e->id);
    text_add(&t, "}", 1);
    if (t.failed || modalua_reply_json(reply, t.data) != MODALUA_OK)
        modalua_reply_error(reply, NULL, "not enough memory");
    text_free(&t);
}

void events_push(event_queue *q, OrthancPluginChangeType type, OrthancPluginResourceType level,
                 const char *id)
{
    event e = { type_name(type), level_name(level), "" };
    modalua_reply *reply = NULL;
    if (!e.type)
        return;
    snprintf(e.id, sizeof e.id, "%s", id ? id : "");
    pthread_mutex_lock(&q->lock);
    if (q->reply) {
        reply = q->reply;
        q->reply = NULL;
    } else if (q->listens && q->count < EVENTS_MAX) {
        q->ring[(q->first + q->count++) % EVENTS_MAX] = e;
    } else if (q->listens) {
        q->lost++;
    }
    pthread_mutex_unlock(&q->lock);
    if (reply)
        events_answer(reply, &e);
}

void events_leave(event_queue *q)
{
    modalua_reply *reply;
    pthread_mutex_lock(&q->lock);
    reply = q->reply;
    q->reply = NULL;
    q->listens = false;
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

/* The next event, or how many were lost. The lock is held. False: there is none. */
static bool events_take(event_queue *q, event *e)
{
    if (q->count > 0) {
        *e = q->ring[q->first];
        q->first = (q->first + 1) % EVENTS_MAX;
        q->count--;
        return true;
    }
    if (q->lost == 0)
        return false;
    *e = (event){ "Lost", NULL, "" };
    snprintf(e->id, sizeof e->id, "%lu", q->lost);
    q->lost = 0;
    return true;
}

static void on_next(void *user, const char *arguments, modalua_reply *reply)
{
    event_queue *q = user;
    modalua_reply *before = NULL; /* of a loop that was left, or has a newer one beside it */
    event e;
    bool is_kept = false, is_there;
    (void)arguments;
    pthread_mutex_lock(&q->lock);
    is_there = events_take(q, &e);
    if (!is_there && modalua_reply_keep(reply) == MODALUA_OK) {
        before = q->reply;
        q->reply = reply;
        is_kept = true;
    }
    pthread_mutex_unlock(&q->lock);
    if (before)
        modalua_reply_error(before, NULL, "a newer loop over host.events() gets the events");
    if (is_there)
        events_answer(reply, &e);
    else if (!is_kept)
        modalua_reply_error(reply, NULL, "not enough memory");
}

int events_register(event_queue *q, modalua_runtime *rt)
{
    int status = modalua_register(rt, "modalua_native.listen", on_listen, q);
    return status == MODALUA_OK ? modalua_register(rt, "modalua_native.next_event", on_next, q)
                                : status;
}
