/* orthanc_plugin/calls.h - calls of a script's functions by the server: a thread of Orthanc posts a call to the script's
 * runtime, and waits for its answer. host.lua has the other half. */
#ifndef ORTHANC_PLUGIN_CALLS_H
#define ORTHANC_PLUGIN_CALLS_H

#include "orthanc_plugin/script.h"

/* Gives the runtime what modalua.host calls. Returns a status of modalua.h. */
int calls_register(script *s, modalua_runtime *rt);

/* The status of HTTP when there has been no answer in time. */
enum { CALL_TOO_LATE = 504 };

/* Bytes that the script can ask for during the call. */
typedef struct call_body {
    const void *data;
    size_t size;
} call_body;

typedef struct call_answer {
    int status;        /* of HTTP; 200 = yes */
    char *type, *body; /* may be NULL; behind the body is a NUL; the caller frees both */
    size_t size;
} call_answer;

/* Calls a function of modalua.host, and waits for its answer, at most so long. Then the call is cancelled, also when it
 * computes. The argument of the function is a JSON object; `members` has its members, without the braces. False: `why`
 * is filled, and answer->status is a status of HTTP that fits. */
bool calls_ask(script *s, const char *function, const char *members, const call_body *body,
               double seconds, call_answer *answer, char *why, size_t why_size);

/* The runtime ends: nothing answers its calls any more. s->lock is held. */
void calls_end(script *s);

#endif
