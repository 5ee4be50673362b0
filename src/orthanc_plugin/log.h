/* orthanc_plugin/log.h - the last lines that a script has printed, and what has happened to it. They go to the log of
 * the server too. */
#ifndef ORTHANC_PLUGIN_LOG_H
#define ORTHANC_PLUGIN_LOG_H

#include <orthanc/OrthancCPlugin.h>
#include <pthread.h>

#include "orthanc_plugin/text.h"

enum { LOG_LINES = 500, LOG_LINE_SIZE = 1000 };

typedef struct script_log {
    OrthancPluginContext *context;
    const char *name; /* of the script */
    pthread_mutex_t lock;
    char *lines[LOG_LINES]; /* a ring */
    size_t first, count;
    char part[LOG_LINE_SIZE]; /* what has been printed without a line end */
    size_t part_size;
} script_log;

void log_init(script_log *l, OrthancPluginContext *context, const char *name);
void log_free(script_log *l);

/* Adds what a script prints: a modalua_write_fn. */
void log_print(script_log *l, const char *data, size_t size);

/* A run ends: adds what it has printed without a line end. */
void log_end(script_log *l);

/* Adds a line: the time, and this text. A problem is an error in the log of the server, else a warning, which is its
 * usual level. */
void log_line(script_log *l, int is_problem, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Adds all lines, with an end each. */
void log_write(script_log *l, text *t);

#endif
