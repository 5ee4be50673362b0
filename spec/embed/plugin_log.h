/* plugin_log.h - the lines that the plugin has written into the log of plugin_host as errors and warnings. */
#ifndef PLUGIN_LOG_H
#define PLUGIN_LOG_H

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;

/* A kind of line, by a part of its text. number: the lines, with those that the plugin has
 * only counted. */
typedef struct logged {
    const char *text;
    unsigned long lines, number;
} logged;

enum { FILTER_FAILS, FILTER_UNKNOWN, ROUTE_A, ROUTE_B, ROUTE_LATE, REQUEST, LOGGED };

static logged log_lines[LOGGED] = { [FILTER_FAILS] = { .text = "its filter gives no answer" },
                                    [FILTER_UNKNOWN] = { .text = "no script decides a filter" },
                                    [ROUTE_A] = { .text = "route /a failed: a fails" },
                                    [ROUTE_B] = { .text = "route /b failed: b fails" },
                                    [ROUTE_LATE] = { .text = "is ended: no answer within" },
                                    [REQUEST] = {
                                        .text = "GET http://this-orthanc.invalid/nope 404 in " } };

static void log_count(const char *line)
{
    const char *others = strstr(line, "(the last of ");
    pthread_mutex_lock(&log_lock);
    for (int i = 0; i < LOGGED; i++)
        if (strstr(line, log_lines[i].text)) {
            log_lines[i].lines++;
            log_lines[i].number += others ? strtoul(others + 13, NULL, 10) : 1;
        }
    pthread_mutex_unlock(&log_lock);
}

static logged log_get(int i)
{
    logged l;
    pthread_mutex_lock(&log_lock);
    l = log_lines[i];
    pthread_mutex_unlock(&log_lock);
    return l;
}

static void log_forget(void)
{
    pthread_mutex_lock(&log_lock);
    for (int i = 0; i < LOGGED; i++)
        log_lines[i].lines = log_lines[i].number = 0;
    pthread_mutex_unlock(&log_lock);
}

#endif
