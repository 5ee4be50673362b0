/* orthanc_plugin/follow.h - what client:changes { follow = true } asks the plugin (modalua_config.follow): it waits
 * without polling, and goes on where it was.
 *
 * Orthanc's callback only wakes the loops that wait; the changes themselves come from the server's log, GET /changes.
 * So none is lost, however slow a script is, and the callback never waits for a script. The places of the loops
 * are kept in the server, as a global property. */
#ifndef ORTHANC_PLUGIN_FOLLOW_H
#define ORTHANC_PLUGIN_FOLLOW_H

#include <orthanc/OrthancCPlugin.h>

#include "modalua.h"

typedef struct follow follow;

/* NULL: not enough memory. */
follow *follow_new(OrthancPluginContext *context);

/* No loop may wait any more. NULL is fine. */
void follow_free(follow *f);

/* Reads the places that the server has kept. Its database must be open. */
void follow_load(follow *f);

/* Something has been written to the log of changes. Any thread; waits for nothing. */
void follow_notify(follow *f);

/* A call of modalua_config.follow by a loop of the script with this name. owner stands for the runtime. */
void follow_ask(follow *f, const void *owner, const char *name, const char *arguments,
                modalua_reply *reply);

/* Wakes the loops of a runtime that have waited for a minute: another program may have written to the log. Saves the
 * places that have moved. A runtime at work calls it at least once a second. */
void follow_refresh(follow *f, const void *owner);

/* The runtime ends: answers its loops, and saves their places. */
void follow_leave(follow *f, const void *owner);

#endif
