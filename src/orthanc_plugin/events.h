/* orthanc_plugin/events.h - what Orthanc tells its plugins and does not write to its log of changes: jobs, deletions, new lists of
 * modalities and peers. Each script has a queue, which is filled while it listens (modalua.host.events). */
#ifndef ORTHANC_PLUGIN_EVENTS_H
#define ORTHANC_PLUGIN_EVENTS_H

#include <orthanc/OrthancCPlugin.h>
#include <pthread.h>
#include <stdbool.h>

#include "modalua.h"

enum {
    EVENTS_MAX = 10001, /* that wait, and the one that the loop has got */
    EVENT_ID_SIZE = 64
};

typedef struct event {
    const char *type, *level; /* static; level NULL = none */
    char id[EVENT_ID_SIZE];
} event;

typedef struct event_queue {
    pthread_mutex_t lock;
    event *ring; /* EVENTS_MAX of them; NULL = the script has never listened */
    size_t first, count;
    /* Of the first one in the ring, from 1. It stays there until the loop asks for the next one: a loop that is
     * cancelled has not got what it waited for. */
    unsigned long number;
    unsigned long lost; /* that have found no room */
    bool listens;
    modalua_reply *reply; /* the loop that waits; NULL = none */
} event_queue;

void events_init(event_queue *q);
void events_free(event_queue *q);

/* Gives the runtime what modalua.host calls. Returns a status of modalua.h. */
int events_register(event_queue *q, modalua_runtime *rt);

/* Adds an event, unless its type is one of the log of changes. Any thread; waits for nothing. */
void events_push(event_queue *q, OrthancPluginChangeType type, OrthancPluginResourceType level,
                 const char *id);

/* The runtime ends, and with it the loop. */
void events_leave(event_queue *q);

#endif
