/* orthanc_plugin/runtime.h - the runtime of a script: its limits, how it reaches this server, and what modalua.host of
 * the script is. */
#ifndef ORTHANC_PLUGIN_RUNTIME_H
#define ORTHANC_PLUGIN_RUNTIME_H

#include "orthanc_plugin/script.h"

/* Makes the runtime. Returns a status of modalua.h. */
int runtime_new(script *s, modalua_runtime **rt);

/* Starts modalua.host, and then the script's file. modalua_step continues the run. Returns MODALUA_OK, or the
 * status of the start that failed. */
int runtime_start(script *s, modalua_runtime *rt);

/* Says in the log which functions the script has defined that Orthanc's own Lua would call, and the plugin does not. Call it between two
 * steps, or behind the last one. */
void runtime_warn(script *s, modalua_runtime *rt);

/* Whether the file can be read and compiled: MODALUA_OK; or else *why, which the caller frees, says why not. */
int runtime_try(script *s, char **why);

#endif
