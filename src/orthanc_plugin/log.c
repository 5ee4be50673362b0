#include "orthanc_plugin/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/utf8.h"

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

static void log_add(script_log *l, log_level level, const char *line)
{
    text kept = { 0 }, for_server = { 0 };
    char date[32];
    time_t now = time(NULL);
    struct tm parts;
    if (!localtime_r(&now, &parts) || strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S", &parts) == 0)
        date[0] = '\0';
    text_format(&kept, "%s ", date);
    text_add_line(&kept, line);
    text_format(&for_server, "modalua, script %s: ", l->name);
    text_add_line(&for_server, line);
    pthread_mutex_lock(&l->lock);
    if (kept.data)
        keep(l, kept.data);
    pthread_mutex_unlock(&l->lock);
    if (for_server.data && level == LOG_ERROR)
        OrthancPluginLogError(l->context, for_server.data);
    else if (for_server.data && level == LOG_WARNING)
        OrthancPluginLogWarning(l->context, for_server.data);
    else if (for_server.data)
        OrthancPluginLogInfo(l->context, for_server.data);
    text_free(&for_server);
}

size_t log_cut(const char *line, size_t size)
{
    size_t cut = size;
    if (size >= LOG_LINE_SIZE)
        cut = utf8_truncate(line, size, LOG_LINE_SIZE - 1);
    return cut > 0 || size == 0
               ? cut
               : LOG_LINE_SIZE - 1; /* 0: not one byte begins a character: no UTF-8 */
}

/* Writes the line so far, and begins the next one with what is behind its first `size` bytes. */
static void end_part(script_log *l, size_t size)
{
    char line[LOG_LINE_SIZE];
    memcpy(line, l->part, size);
    line[size] = '\0';
    l->part_size -= size;
    memmove(l->part, l->part + size, l->part_size);
    log_add(l, LOG_WARNING, line);
}

/* Only the thread of the script prints. */
void log_print(script_log *l, const char *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (data[i] != '\n' && data[i] != '\0')
            l->part[l->part_size++] = data[i];
        if (data[i] == '\n')
            end_part(l, l->part_size);
        else if (l->part_size == sizeof l->part)
            end_part(l, log_cut(l->part, l->part_size));
    }
}

void log_end(script_log *l)
{
    if (l->part_size > 0)
        log_print(l, "\n", 1);
}

/* The line of a format: at most one line, of which no character is cut. */
static void format_line(char line[LOG_LINE_SIZE + 1], const char *format, va_list arguments)
{
    vsnprintf(line, LOG_LINE_SIZE + 1, format, arguments);
    line[log_cut(line, strlen(line))] = '\0';
    for (char *c = line; *c; c++)
        if (*c == '\n')
            *c = ' ';
}

void log_line(script_log *l, log_level level, const char *format, ...)
{
    char line[LOG_LINE_SIZE + 1];
    va_list arguments;
    va_start(arguments, format);
    format_line(line, format, arguments);
    va_end(arguments);
    log_add(l, level, line);
}

static const log_level levels[LOG_CAUSES] = {
    [LOG_FILTER] = LOG_ERROR, [LOG_ROUTE] = LOG_ERROR, [LOG_REQUEST] = LOG_WARNING
};

/* Writes one line that is held, when it is due; or in any case. False: there is none. */
static bool write_held(script_log *l, log_cause cause, bool in_any_case)
{
    text held = { 0 };
    bool is_written;
    pthread_mutex_lock(&l->lock);
    if (in_any_case)
        repeated_flush(&l->repeated[cause], &held);
    else
        repeated_take(&l->repeated[cause], clock_now(), &held);
    pthread_mutex_unlock(&l->lock);
    is_written = held.data != NULL;
    if (is_written)
        log_add(l, levels[cause], held.data);
    text_free(&held);
    return is_written;
}

static void write_all_held(script_log *l, bool in_any_case)
{
    for (log_cause cause = 0; cause < LOG_CAUSES; cause++)
        while (write_held(l, cause, in_any_case))
            ;
}

void log_repeated(script_log *l, log_cause cause, const char *format, ...)
{
    char line[LOG_LINE_SIZE + 1];
    va_list arguments;
    va_start(arguments, format);
    format_line(line, format, arguments);
    va_end(arguments);
    pthread_mutex_lock(&l->lock);
    repeated_add(&l->repeated[cause], clock_now(), line);
    pthread_mutex_unlock(&l->lock);
    log_refresh(l);
}

void log_refresh(script_log *l)
{
    write_all_held(l, false);
}

void log_flush(script_log *l)
{
    write_all_held(l, true);
}

/* Adds those that are held, without a change. */
static void add_held(const repeated *r, text *t)
{
    for (size_t place = 0; place <= REPEATED_TEXTS; place++) {
        text held = { 0 };
        repeated_show(r, place, &held);
        if (held.data) {
            text_add_line(t, held.data);
            text_add(t, "\n", 1);
        }
        text_free(&held);
    }
}

void log_write(script_log *l, text *t)
{
    pthread_mutex_lock(&l->lock);
    for (size_t i = 0; i < l->count; i++)
        text_format(t, "%s\n", l->lines[(l->first + i) % LOG_LINES]);
    for (log_cause cause = 0; cause < LOG_CAUSES; cause++)
        add_held(&l->repeated[cause], t);
    pthread_mutex_unlock(&l->lock);
}
