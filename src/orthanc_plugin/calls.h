/* orthanc_plugin/calls.h - requests for the routes of a script (modalua.host.route): the thread of Orthanc's HTTP server
 * posts a call to the script's runtime, and waits for its answer. */
#ifndef ORTHANC_PLUGIN_CALLS_H
#define ORTHANC_PLUGIN_CALLS_H

#include "orthanc_plugin/script.h"

/* Gives the runtime what modalua.host calls. Returns a status of modalua.h. */
int calls_register(script *s, modalua_runtime *rt);

/* The answer of a route. */
typedef struct route_answer {
    int status;
    char *type, *body; /* body may be NULL; the caller frees both */
    size_t size;
} route_answer;

/* Calls the route, and waits for its answer, at most the time that the settings allow. False: `why` is
 * filled, and answer->status is a status of HTTP that fits. */
bool calls_route(script *s, const char *path, const OrthancPluginHttpRequest *request,
                 route_answer *answer, char *why, size_t why_size);

/* The runtime ends: nothing answers its calls any more. s->lock is held. */
void calls_end(script *s);

#endif
