/* orthanc_plugin/log.h - the last lines that a script has printed, and what has happened to it. They go to the log of
 * the server too. */
#ifndef ORTHANC_PLUGIN_LOG_H
#define ORTHANC_PLUGIN_LOG_H

#include <orthanc/OrthancCPlugin.h>
#include <pthread.h>

#include "orthanc_plugin/repeated.h"
#include "orthanc_plugin/text.h"

enum { LOG_LINES = 500, LOG_LINE_SIZE = REPEATED_SIZE };

/* Lines that can come again and again: a filter or a route fails, or a request of the script. */
typedef enum log_cause { LOG_FILTER, LOG_ROUTE, LOG_REQUEST, LOG_CAUSES } log_cause;

typedef struct script_log {
    OrthancPluginContext *context;
    const char *name; /* of the script */
    pthread_mutex_t lock;
    char *lines[LOG_LINES]; /* a ring */
    size_t first, count;
    char part[LOG_LINE_SIZE]; /* what has been printed without a line end */
    size_t part_size;
    repeated repeated[LOG_CAUSES];
} script_log;

void log_init(script_log *l, OrthancPluginContext *context, const char *name);
void log_free(script_log *l);

/* Adds what a script prints: a modalua_write_fn. */
void log_print(script_log *l, const char *data, size_t size);

/* A run ends: adds what it has printed without a line end. */
void log_end(script_log *l);

/* How much of a text of that size one line of the log can have. No character is cut. */
size_t log_cut(const char *line, size_t size);

/* How the log of the server has a line. A warning is its usual level; it shows a note with --verbose alone. */
typedef enum log_level { LOG_NOTE, LOG_WARNING, LOG_ERROR } log_level;

/* Adds a line: the time, and this text. */
void log_line(script_log *l, log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Adds a line that can come again and again, as repeated.h says. */
void log_repeated(script_log *l, log_cause cause, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Adds those that have been held, and are due. Call it now and then. */
void log_refresh(script_log *l);

/* Adds all those that have been held: a run has ended, or the server stops. */
void log_flush(script_log *l);

/* Adds all lines, with an end each, also those that are held. */
void log_write(script_log *l, text *t);

#endif
