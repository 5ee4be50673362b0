/* dicomd_log.c - the log: a line for each event. */
#include "dicomd.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* One per process. The lock keeps lines apart. */
static struct {
    pthread_mutex_t lock;
    int file;
} log_state = { .lock = PTHREAD_MUTEX_INITIALIZER, .file = -1 };

void log_to(int file)
{
    log_state.file = file;
}

static void add_shown(bytes *line, const void *data, size_t size)
{
    const unsigned char *p = data;
    char hex[8];
    for (size_t i = 0; i < size; i++)
        if (p[i] < 0x20 || p[i] > 0x7E || p[i] == '\\')
            bytes_add(line, hex, (size_t)snprintf(hex, sizeof hex, "\\x%02X", p[i]));
        else
            bytes_add(line, p + i, 1);
}

static void add_field(bytes *line, const char *name, const void *data, size_t size)
{
    bytes_puts(line, " ");
    bytes_puts(line, name);
    bytes_puts(line, "=");
    add_shown(line, data, trimmed(data, size));
}

static void add_element(bytes *line, const char *name, const element *set, uint32_t tag)
{
    const element *e = set_find(set, tag);
    add_field(line, name, e ? e->value : "", e ? e->size : 0);
}

static void log_line(bytes *line)
{
    bytes_puts(line, "\n");
    pthread_mutex_lock(&log_state.lock);
    if (log_state.file >= 0 && write(log_state.file, line->data, line->size) < 0)
        perror("log");
    pthread_mutex_unlock(&log_state.lock);
    bytes_free(line);
}

void log_event(const char *event)
{
    bytes line = { 0 };
    bytes_puts(&line, event);
    log_line(&line);
}

void log_association(const association *a)
{
    bytes line = { 0 };
    bytes_puts(&line, "ASSOC");
    add_field(&line, "calling", a->calling, strlen(a->calling));
    add_field(&line, "called", a->called, strlen(a->called));
    log_line(&line);
}

void log_message(const char *name, service s, const message *m)
{
    bytes line = { 0 };
    char tag[16];
    bytes_puts(&line, name);
    if (s == SERVICE_FIND)
        add_element(&line, "level", m->identifier, TAG_LEVEL);
    if (s == SERVICE_MOVE)
        add_element(&line, "dest", m->command, TAG_DESTINATION);
    if (s == SERVICE_STORE)
        add_element(&line, "sop", m->command, TAG_AFFECTED_INSTANCE);
    for (const element *e = m->identifier; e; e = e->next) {
        snprintf(tag, sizeof tag, "%04x,%04x", e->tag >> 16, e->tag & 0xFFFF);
        add_field(&line, tag, e->value, e->size);
    }
    log_line(&line);
}
