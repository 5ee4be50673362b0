#include "http/bounds.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "http/server.h"

enum {
    TRANSFER_BYTES = 32 * 1024, /* libcurl's structs and buffers */
    URL_COPIES = 6,             /* of the URL, while it is parsed and the request is written */
    CREDENTIAL_COPIES = 3,
    HEAD_MAX = 128 * 1024,
    LINE_BYTES = 128 /* of each line that libcurl keeps, beside its text */
};

/* The longest time that the system is expected to look for a name: three servers, twice 5 seconds each,
 * for the name alone and with the local domain. */
#define LOOKUP_SECONDS 60.0

/* ---- memory ---- */

static size_t text_size(const char *text)
{
    return text ? strlen(text) : 0;
}

/* Cleanup requests are not counted: a run that is out of memory leaves nothing on the server either. */
static bool charge(http_transfer *t, size_t bytes)
{
    if (t->request.cleanup)
        return true;
    if (!memory_charge(t->h->memory, bytes))
        return false;
    t->charged += bytes;
    return true;
}

bool bounds_take(http_transfer *t)
{
    const http_options *o = &t->server->options;
    size_t url = strlen(o->url) + strlen(t->request.path);
    size_t credentials = text_size(o->username) + text_size(o->password) + text_size(o->token);
    return charge(t, TRANSFER_BYTES + URL_COPIES * url + CREDENTIAL_COPIES * credentials +
                         t->server->header_bytes);
}

void bounds_release(http_transfer *t)
{
    memory_discharge(t->h->memory, t->charged);
    t->charged = t->head_size = 0;
}

/* ---- the head of an answer ---- */

/* libcurl takes the end of the connection within the head for the end of an answer without a body. So
 * this notes the blank line, which ends a head. There may be several heads, and lines after the body.
 */
size_t bounds_on_header(char *line, size_t one, size_t size, void *transfer)
{
    http_transfer *t = transfer;
    (void)one;
    t->head_size += size;
    if (t->head_size > HEAD_MAX)
        t->fault = HTTP_HEAD;
    else if (!charge(t, size + LINE_BYTES))
        t->fault = HTTP_NO_MEMORY;
    if (t->fault != HTTP_OK)
        return 0;
    if (size >= 5 && memcmp(line, "HTTP/", 5) == 0)
        t->has_head = false;
    else if (size <= 2 && (*line == '\r' || *line == '\n'))
        t->has_head = true;
    return size;
}

/* ---- names ---- */

int bounds_on_lookup(void *state, void *reserved, void *transfer)
{
    http_transfer *t = transfer;
    (void)state;
    (void)reserved;
    t->looks_up = true;
    return 0;
}

void bounds_end_lookup(http_transfer *t)
{
    double *oldest = &t->h->lookups[0];
    if (!t->looks_up || t->curl_code == CURLE_COULDNT_RESOLVE_HOST ||
        t->curl_code == CURLE_COULDNT_RESOLVE_PROXY)
        return;
    t->looks_up = false;
    for (size_t i = 1; i < HTTP_LOOKUPS_MAX; i++)
        if (t->h->lookups[i] < *oldest)
            oldest = &t->h->lookups[i];
    *oldest = clock_now() + LOOKUP_SECONDS;
}

bool bounds_allow_lookup(http *h, const http_server *s)
{
    double now;
    if (s->numeric)
        return true;
    now = clock_now();
    for (size_t i = 0; i < HTTP_LOOKUPS_MAX; i++)
        if (h->lookups[i] <= now)
            return true;
    return false;
}

/* From 8.20 on the lookups of a multi handle share a pool of threads, which is full when that many names do not
 * answer. */
void bounds_set_threads(CURLM *multi)
{
#if LIBCURL_VERSION_NUM >= 0x081400
    enum { THREADS = 20 }; /* libcurl's default */
    curl_multi_setopt(multi, CURLMOPT_RESOLVE_THREADS_MAX, (long)THREADS + HTTP_LOOKUPS_MAX);
    curl_multi_setopt(multi, CURLMOPT_QUICK_EXIT, 1L);
#else
    (void)multi;
#endif
}

/* ---- the moment at which a request may leave ---- */

bool bounds_is_late(http_transfer *t)
{
    if (t->request.latest <= 0 || clock_boot() <= t->request.latest)
        return false;
    t->fault = HTTP_REFUSED;
    t->refusal = "late";
    snprintf(
        t->error, sizeof t->error,
        "nothing was sent: the moment until which the request was allowed to leave has passed");
    return true;
}

int bounds_on_request(void *transfer, char *there, char *here, int port_there, int port_here)
{
    (void)there;
    (void)here;
    (void)port_there;
    (void)port_here;
    return bounds_is_late(transfer) ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}
