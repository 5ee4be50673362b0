/* orthanc_plugin/rest.h - the transport of a script's runtime: its requests become calls of Orthanc's REST API from
 * inside, on a bounded pool of threads. A call cannot be interrupted; so each script has a pool of its own,
 * which lives as long as the script, also when it is started again. */
#ifndef ORTHANC_PLUGIN_REST_H
#define ORTHANC_PLUGIN_REST_H

#include <orthanc/OrthancCPlugin.h>
#include <time.h>

#include "modalua.h"

/* The URL of this server for modalua.connect(). The domain "invalid" cannot exist in a network (RFC 2606). */
#define REST_URL "http://this-orthanc.invalid"

typedef struct rest_pool rest_pool;

/* A pool of at most so many threads, which are started when they are needed. NULL: not enough memory. */
rest_pool *rest_pool_new(OrthancPluginContext *context, unsigned threads);

/* Carries out a request, and answers the response, on a thread of the pool. */
void rest_pool_send(rest_pool *p, const modalua_request *request, modalua_response *response);

/* Waits until no request is at work or waits for a thread, at most until then (CLOCK_REALTIME). NULL is fine. */
void rest_pool_wait(rest_pool *p, const struct timespec *until);

/* Lets the requests fail that no thread has begun, and all that come later. NULL is fine. */
void rest_pool_close(rest_pool *p);

/* Closes it, waits for the requests at work, and ends the threads. NULL is fine. */
void rest_pool_free(rest_pool *p);

#endif
