#include "http/log.h"

#include <stdio.h>

enum { LINE = 1024 };

static size_t received_bytes(const http_transfer *t)
{
    const http_file *sink = t->request.sink;
    return sink && !t->body ? (size_t)sink->done : t->body_size;
}

void http_log_count(http_transfer *t)
{
    curl_off_t sent = 0, received = 0;
    if (t->easy) {
        curl_easy_getinfo(t->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
        curl_easy_getinfo(t->easy, CURLINFO_SIZE_DOWNLOAD_T, &received);
    } else { /* the host has carried it out */
        sent = t->request.source ? t->moved : (curl_off_t)t->request.body_size;
        received = (curl_off_t)received_bytes(t);
    }
    t->h->counts.requests++;
    t->h->counts.sent += (double)sent;
    t->h->counts.received += (double)received;
}

static http_log_level level_of(const http_transfer *t)
{
    if (t->fault == HTTP_REFUSED)
        return HTTP_LOG_WARNING;
    if (t->fault != HTTP_OK || t->status >= 500)
        return HTTP_LOG_ERROR;
    if (t->status < 200 || t->status > 299)
        return HTTP_LOG_WARNING;
    return t->request.side_effects ? HTTP_LOG_INFO : HTTP_LOG_DEBUG;
}

void http_log_outcome(const http_transfer *t)
{
    char line[LINE];
    const http_request *r = &t->request;
    http_log_entry e = { level_of(t), line, NULL, received_bytes(t), t };
    if (!t->h->log || e.level < t->h->log_level)
        return;
    if (t->fault == HTTP_OK) {
        snprintf(line, sizeof line, "%s %s%s %ld in %.1f ms, %zu B", r->method,
                 http_server_url(t->server), r->path, t->status, t->seconds * 1000, e.bytes);
    } else {
        e.error = t->error[0]             ? t->error
                  : t->fault == HTTP_FILE ? "the file failed"
                                          : curl_easy_strerror(t->curl_code);
        snprintf(line, sizeof line, "%s %s%s failed in %.1f ms: %s", r->method,
                 http_server_url(t->server), r->path, t->seconds * 1000, e.error);
    }
    t->h->log(t->h->log_user, &e);
}

void http_log_retry(const http_transfer *t, double pause, unsigned all)
{
    char line[LINE];
    http_log_entry e = { HTTP_LOG_WARNING, line, "it is sent again", received_bytes(t), t };
    if (!t->h->log || e.level < t->h->log_level)
        return;
    snprintf(line, sizeof line, "%s %s%s again in %.2f s (try %u of %u)", t->request.method,
             http_server_url(t->server), t->request.path, pause, t->request.tried + 2, all);
    t->h->log(t->h->log_user, &e);
}
