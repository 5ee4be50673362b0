/* embed/log.h - the log of HTTP requests for the host, and its statistics. */
#ifndef EMBED_LOG_H
#define EMBED_LOG_H

#include "embed/runtime.h"

/* Sets the log of a runtime that has its configuration. */
void log_open(modalua_runtime *rt);

#endif
