#include "http/http.h"

#include <ctype.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "http/body.h"
#include "http/bounds.h"
#include "http/configure.h"
#include "http/exchange.h"
#include "http/explain.h"
#include "http/log.h"
#include "http/server.h"
#include "http/stream.h"

enum { WAIT_MAX_MS = 1000 };

/* Idle connections that are kept. A server such as Orthanc has a thread for each open connection, idle
 * ones included, and 50 threads in all for all of its clients. */
enum { POOL_MAX = 16 };

enum { CLEANUPS_APART = 2 }; /* cleanup requests of a host that may start beside max_inflight */

/* ---- once in the process ---- */

static pthread_once_t global_once = PTHREAD_ONCE_INIT;
static CURLcode global_code;

static void global_init(void)
{
    global_code = curl_global_init(CURL_GLOBAL_DEFAULT);
}

bool http_global_init(const http *h)
{
    if (h->no_global_init)
        return true;
    pthread_once(&global_once, global_init);
    return global_code == CURLE_OK;
}

/* ---- lists ---- */

static void list_append(http_list *list, http_transfer *t)
{
    t->next = NULL;
    t->prev = list->last;
    *(list->last ? &list->last->next : &list->first) = t;
    list->last = t;
}

static void list_remove(http_list *list, http_transfer *t)
{
    *(t->prev ? &t->prev->next : &list->first) = t->next;
    *(t->next ? &t->next->prev : &list->last) = t->prev;
    t->next = t->prev = NULL;
}

/* ---- the whole ---- */

void http_init(http *h, memory *m, host_thread *thread)
{
    memset(h, 0, sizeof *h);
    h->memory = m;
    h->thread = thread;
}

void http_free(http *h)
{
    if (!h->multi)
        return;
    host_thread_block(h->thread);
    curl_multi_cleanup(h->multi);
    host_thread_unblock(h->thread);
    h->multi = NULL;
    http_sockets_free(&h->sockets);
}

static bool http_open(http *h, const http_server *s)
{
    if (s->of_host)
        return true;
    if (!h->multi && http_global_init(h)) {
        h->multi = http_sockets_new_multi();
        if (h->multi)
            bounds_set_threads(h->multi);
        if (h->multi && !http_sockets_attach(&h->sockets, h->memory, h->multi))
            http_free(h);
    }
    return h->multi != NULL;
}

/* ---- start and end ---- */

static void release_easy(http_transfer *t)
{
    http_exchange_end(t);
    if (!t->easy)
        return;
    bounds_release(t);
    host_thread_block(t->h->thread);
    if (t->state == HTTP_RUNNING)
        curl_multi_remove_handle(t->h->multi, t->easy);
    curl_easy_cleanup(t->easy);
    host_thread_unblock(t->h->thread);
    t->easy = NULL;
    t->location = NULL;
    if (t->content_header)
        t->content_header->next = NULL; /* the others belong to the server */
    curl_slist_free_all(t->content_header);
    t->content_header = NULL;
}

/* What counts the transfer while it runs. */
static unsigned *counter(const http_transfer *t)
{
    return t->apart ? &t->server->origin->apart : &t->server->origin->running;
}

/* The outcome is known: http_next_finished will return the transfer. */
static void transfer_done(http_transfer *t)
{
    if (t->state == HTTP_RUNNING) {
        t->seconds = clock_now() - t->started;
        t->h->running--;
        (*counter(t))--;
    }
    t->state = HTTP_DONE;
    list_append(&t->h->finished, t);
    http_log_outcome(t);
}

/* Gives the transfer to libcurl, or to the host's transport. */
static bool transfer_send(http_transfer *t)
{
    http *h = t->h;
    if (!http_stream_begin(t))
        return false;
    if (t->server->of_host)
        return http_exchange_begin(t);
    t->easy = curl_easy_init();
    return t->easy && bounds_take(t) && http_sockets_reserve(&h->sockets, h->running + 1) &&
           configure_transfer(t) && curl_multi_add_handle(h->multi, t->easy) == CURLM_OK;
}

static void transfer_start(http_transfer *t)
{
    http *h = t->h;
    t->started = clock_now();
    if (!bounds_is_late(t) && transfer_send(t)) {
        t->state = HTTP_RUNNING;
        if (t->exchange)
            list_append(&h->exchanges, t);
        h->running++;
        (*counter(t))++;
        return;
    }
    if (t->fault == HTTP_OK)
        t->fault = HTTP_NO_MEMORY;
    transfer_done(t);
}

/* Starts the waiting transfers of an origin for which there is room. */
static void origin_start(http *h, http_origin *o)
{
    http_transfer *t;
    while ((t = o->waiting.first) && o->running < t->server->options.max_inflight &&
           (h->max_running == 0 || h->running < h->max_running)) {
        if (!bounds_allow_lookup(h, t->server)) {
            h->held_back = true;
            return;
        }
        list_remove(&o->waiting, t);
        h->waiting--;
        transfer_start(t);
    }
}

/* A transfer with `freed` has ended. When there is a limit across all servers, a transfer with
 * another one may start in its place. */
static void start_more(http *h, http_origin *freed)
{
    origin_start(h, freed);
    if (h->max_running > 0)
        for (http_origin *o = h->origins; o && h->waiting > 0; o = o->next)
            origin_start(h, o);
}

/* Whether the gate refuses the transfer, which then has ended. */
static bool gate_refuses(http_transfer *t)
{
    http *h = t->h;
    const char *why = h->gate ? h->gate(h->gate_user, t->server, &t->request, &t->refusal) : NULL;
    if (!why)
        return false;
    t->fault = t->refusal ? HTTP_REFUSED : HTTP_NO_MEMORY;
    snprintf(t->error, sizeof t->error, "%s", why);
    transfer_done(t);
    return true;
}

bool http_begin(http_transfer *t, http *h, http_server *s, const http_request *r)
{
    void *owner = t->owner;
    if (!http_open(h, s))
        return false;
    memset(t, 0, sizeof *t);
    t->owner = owner;
    t->h = h;
    t->server = s;
    t->request = *r;
    t->state = HTTP_WAITING;
    if (gate_refuses(t))
        return true;
    if (h->multi)
        curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS,
                          h->pool < POOL_MAX ? (long)h->pool : (long)POOL_MAX);
    t->apart = r->cleanup && s->origin->apart < CLEANUPS_APART;
    if (t->apart) {
        transfer_start(t);
        return true;
    }
    list_append(&s->origin->waiting, t);
    h->waiting++;
    origin_start(h, s->origin);
    return true;
}

void http_set_apart(http_transfer *t)
{
    if (t->state != HTTP_RUNNING || t->apart)
        return;
    (*counter(t))--;
    t->apart = true;
    (*counter(t))++;
    start_more(t->h, t->server->origin);
}

void http_end(http_transfer *t)
{
    http_state was = t->state;
    if (was == HTTP_WAITING) {
        list_remove(&t->server->origin->waiting, t);
        t->h->waiting--;
    } else if (was == HTTP_RUNNING) {
        if (t->exchange)
            list_remove(&t->h->exchanges, t);
        bounds_end_lookup(t);
        http_log_count(t);
        t->h->running--;
        (*counter(t))--;
    } else if (was == HTTP_DONE && (t->prev || t->h->finished.first == t)) {
        list_remove(&t->h->finished, t);
    }
    release_easy(t);
    body_drop(t);
    t->state = HTTP_IDLE;
    if (was == HTTP_RUNNING)
        start_more(t->h, t->server->origin);
}

/* ---- progress ---- */

static void note_answer(http_transfer *t)
{
    char *type = NULL;
    size_t i = 0;
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &t->status);
    curl_easy_getinfo(t->easy, CURLINFO_CONTENT_TYPE, &type);
    curl_easy_getinfo(t->easy, CURLINFO_REDIRECT_URL, &t->location);
    curl_easy_getinfo(t->easy, CURLINFO_RETRY_AFTER, &t->retry_after);
    for (; type && type[i] && !strchr("; \t", type[i]) && i + 1 < sizeof t->content_type; i++)
        t->content_type[i] = (char)tolower((unsigned char)type[i]);
    t->content_type[i] = '\0';
    explain_certificate(t);
}

/* libcurl reports the end of a transfer. */
static void take_message(http *h, CURLMsg *message)
{
    http_transfer *t = NULL;
    CURLcode code = message->data.result; /* removing the handle frees the message */
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&t);
    if (code == CURLE_OK && !t->has_head) {
        code = CURLE_PARTIAL_FILE;
        snprintf(t->error, sizeof t->error, "the connection ended within the head of the answer");
    }
    t->curl_code = code;
    if (code != CURLE_OK && t->fault == HTTP_OK)
        t->fault = HTTP_CURL;
    bounds_end_lookup(t);
    http_log_count(t);
    explain_failure(t);
    note_answer(t);
    curl_multi_remove_handle(h->multi, t->easy);
    transfer_done(t);
    start_more(h, t->server->origin);
}

bool http_is_transient(const http_transfer *t)
{
    if (t->fault == HTTP_OK) /* too many requests; a proxy cannot reach the server behind it */
        return t->status == 429 || (t->status >= 502 && t->status <= 504);
    if (t->fault == HTTP_STALLED)
        return true;
    switch (t->fault == HTTP_CURL ? t->curl_code : CURLE_OK) {
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_PARTIAL_FILE: return true;
    default: return false;
    }
}

/* The same of the host's transport. */
static void collect_exchanges(http *h)
{
    double now = clock_now();
    http_transfer *next;
    for (http_transfer *t = h->exchanges.first; t; t = next) {
        next = t->next;
        if (!http_exchange_collect(t, now))
            continue;
        list_remove(&h->exchanges, t);
        http_log_count(t);
        transfer_done(t);
        start_more(h, t->server->origin);
    }
}

/* The transfers that were not allowed to look a name up: enough time may have passed. */
static void start_held_back(http *h)
{
    if (!h->held_back)
        return;
    h->held_back = false;
    for (http_origin *o = h->origins; o; o = o->next)
        origin_start(h, o);
}

void http_perform(http *h)
{
    CURLMsg *message;
    int left;
    start_held_back(h);
    if (h->running == 0)
        return;
    collect_exchanges(h);
    if (!h->multi)
        return;
    host_thread_block(h->thread);
    http_sockets_act(&h->sockets, h->multi);
    while ((message = curl_multi_info_read(h->multi, &left)))
        if (message->msg == CURLMSG_DONE)
            take_message(h, message);
    host_thread_unblock(h->thread);
}

http_transfer *http_next_finished(http *h)
{
    http_transfer *t = h->finished.first;
    if (t)
        list_remove(&h->finished, t);
    return t;
}

static void shorten(const http *h, int *milliseconds)
{
    double now = h->exchanges.first ? clock_now() : 0;
    for (const http_transfer *t = h->exchanges.first; t; t = t->next)
        http_exchange_shorten(t, now, milliseconds);
}

void http_wait(http *h, struct pollfd *own, size_t count, int wait_ms)
{
    if (wait_ms < 0 || wait_ms > WAIT_MAX_MS)
        wait_ms = WAIT_MAX_MS;
    shorten(h, &wait_ms);
    http_sockets_wait(&h->sockets, own, count, wait_ms);
}

int http_fds(http *h, struct pollfd *fds, int count, int *milliseconds)
{
    shorten(h, milliseconds);
    return h->running > 0 ? http_sockets_fds(&h->sockets, fds, count, milliseconds) : 0;
}
