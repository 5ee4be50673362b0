/* orthanc_plugin/execute.h - POST /modalua/execute: runs a script that a person sends, in a sandbox and with limits, and
 * answers with its result. */
#ifndef ORTHANC_PLUGIN_EXECUTE_H
#define ORTHANC_PLUGIN_EXECUTE_H

#include "orthanc_plugin/script.h"

typedef struct executor executor;

/* NULL: not enough memory. */
executor *executor_new(const script_host *host);

/* Ends what is under way, and waits for it, at most until then (CLOCK_REALTIME). From now on everything is refused. */
void executor_stop(executor *e, const struct timespec *until);

/* NULL is fine. Nothing is under way any more. */
void executor_free(executor *e);

/* Runs the script, and adds a JSON object to the text: Result, Output, Error. Returns a status of HTTP: 200; 503: too many
 * scripts are under way, and nothing is added. */
int executor_run(executor *e, const char *source, size_t size, text *t);

#endif
