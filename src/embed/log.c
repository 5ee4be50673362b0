#include "embed/log.h"

#include <stdlib.h>
#include <string.h>

#include "orthanc/failures.h"

/* ---- the log ---- */

/* An answer that says how a transfer of DICOM went: of an error, or the record of a job. */
static bool may_tell_dimse(const http_transfer *t)
{
    return t->body && (t->status >= 400 || strncmp(t->request.path, "/jobs/", 6) == 0);
}

/* From 1.12.10 on there is the member DimseErrorStatus, before it a text. -1 = none. */
static int dimse_status_of(const http_transfer *t)
{
    static const char key[] = "\"DimseErrorStatus\"";
    const char *at = may_tell_dimse(t) ? strstr(t->body, key) : NULL;
    long status = -1;
    if (at) {
        at += sizeof key - 1;
        at += strspn(at, " :");
        status = strtol(at, NULL, 10);
    }
    if (status > 0 && status <= 0xffff)
        return (int)status;
    return may_tell_dimse(t) ? orthanc_dimse_status(t->body) : -1;
}

static void log_add(void *user, const http_log_entry *from)
{
    modalua_runtime *rt = user;
    const modalua_config *c = &rt->config;
    const http_transfer *t = from->transfer;
    modalua_log_entry e = { .struct_size = sizeof e,
                            .level = (int)from->level,
                            .text = from->line,
                            .operation = t->request.operation,
                            .method = t->request.method,
                            .status = (int)t->status,
                            .dimse_status = dimse_status_of(t),
                            .tries = t->request.tried + 1,
                            .bytes = from->bytes,
                            .seconds = t->seconds,
                            .error = from->error };
    size_t base = strlen(http_server_url(t->server)), size = base + strlen(t->request.path) + 1;
    char *url = c->log_entry ? memory_realloc(&rt->memory, NULL, 0, size) : NULL;
    if (url) {
        memcpy(url, http_server_url(t->server), base);
        memcpy(url + base, t->request.path, size - base);
    }
    e.url = url ? url : http_server_url(t->server);
    host_thread_lend(&rt->lp.host);
    if (c->log)
        c->log(c->user, from->line, strlen(from->line));
    if (c->log_entry)
        c->log_entry(c->user, &e);
    host_thread_take_back(&rt->lp.host);
    if (url)
        memory_realloc(&rt->memory, url, size, 0);
}

void log_open(modalua_runtime *rt)
{
    http *h = &rt->lp.http;
    if (!rt->config.log && !rt->config.log_entry)
        return;
    h->log = log_add;
    h->log_user = rt;
    h->log_level = (http_log_level)rt->config.log_level;
}

/* ---- statistics ---- */

int modalua_stats(const modalua_runtime *rt, modalua_statistics *stats)
{
    const http *h;
    modalua_statistics all = { .struct_size = sizeof all };
    if (!rt || !stats || stats->struct_size < sizeof stats->struct_size)
        return MODALUA_E_INVALID;
    h = &rt->lp.http;
    all.memory = rt->memory.used;
    all.memory_peak = rt->memory.peak;
    all.tasks = rt->lp.live;
    all.requests_running = h->running;
    all.requests_waiting = h->waiting;
    all.sockets = h->counts.sockets;
    all.requests = h->counts.requests;
    all.bytes_sent = h->counts.sent;
    all.bytes_received = h->counts.received;
    if (stats->struct_size < all.struct_size)
        all.struct_size = stats->struct_size;
    memcpy(stats, &all, all.struct_size);
    return MODALUA_OK;
}
