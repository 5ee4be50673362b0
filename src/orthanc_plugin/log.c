#include "orthanc_plugin/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void log_init(script_log *l, OrthancPluginContext *context, const char *name)
{
    memset(l, 0, sizeof *l);
    l->context = context;
    l->name = name;
    pthread_mutex_init(&l->lock, NULL);
}

void log_free(script_log *l)
{
    for (size_t i = 0; i < LOG_LINES; i++)
        free(l->lines[i]);
    pthread_mutex_destroy(&l->lock);
}

/* The line belongs to the log from now on. The lock is held. */
static void keep(script_log *l, char *line)
{
    size_t place = (l->first + l->count) % LOG_LINES;
    if (l->count == LOG_LINES)
        l->first = (l->first + 1) % LOG_LINES;
    else
        l->count++;
    free(l->lines[place]);
    l->lines[place] = line;
}

static void add(script_log *l, int is_problem, const char *line)
{
    enum { ROOM = LOG_LINE_SIZE + 64 };
    char *kept = malloc(ROOM), for_server[LOG_LINE_SIZE + 128], date[32];
    time_t t = time(NULL);
    struct tm parts;
    if (!localtime_r(&t, &parts) || strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S", &parts) == 0)
        date[0] = '\0';
    if (kept)
        snprintf(kept, ROOM, "%s %s", date, line);
    pthread_mutex_lock(&l->lock);
    if (kept)
        keep(l, kept);
    pthread_mutex_unlock(&l->lock);
    snprintf(for_server, sizeof for_server, "modalua, script %s: %s", l->name, line);
    if (is_problem)
        OrthancPluginLogError(l->context, for_server);
    else
        OrthancPluginLogWarning(l->context, for_server);
}

/* Only the thread of the script prints. */
void log_print(script_log *l, const char *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (data[i] != '\n' && data[i] != '\0')
            l->part[l->part_size++] = data[i];
        if (data[i] == '\n' || l->part_size + 1 == sizeof l->part) {
            l->part[l->part_size] = '\0';
            l->part_size = 0;
            add(l, 0, l->part);
        }
    }
}

void log_end(script_log *l)
{
    if (l->part_size > 0)
        log_print(l, "\n", 1);
}

void log_line(script_log *l, int is_problem, const char *format, ...)
{
    char line[LOG_LINE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    for (char *c = line; *c; c++)
        if (*c == '\n')
            *c = ' ';
    add(l, is_problem, line);
}

void log_write(script_log *l, text *t)
{
    pthread_mutex_lock(&l->lock);
    for (size_t i = 0; i < l->count; i++)
        text_format(t, "%s\n", l->lines[(l->first + i) % LOG_LINES]);
    pthread_mutex_unlock(&l->lock);
}
