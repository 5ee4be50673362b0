#include "http/http.h"

#include <ctype.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "http/server.h"
#include "http/stream.h"

enum { BODY_FIRST = 4096, WAIT_MAX_MS = 1000 };

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

/* ---- libcurl, kept quiet ----
 * While libcurl works no signal reaches this thread, so the resolver threads that it starts take
 * none either: a handler always runs on the host's own threads. A SIGPIPE that TLS provokes is
 * eaten. */

typedef struct quiet {
    sigset_t before;
    bool pipe_was_pending;
} quiet;

static void quiet_begin(quiet *q)
{
    static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP };
    sigset_t set, pending;
    sigfillset(&set);
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
        sigdelset(&set, faults[i]);
    pthread_sigmask(SIG_BLOCK, &set, &q->before);
    sigpending(&pending);
    q->pipe_was_pending = sigismember(&pending, SIGPIPE) == 1;
}

static void quiet_end(quiet *q)
{
    static const struct timespec at_once = { 0, 0 };
    sigset_t pending, pipe_only;
    sigpending(&pending);
    if (!q->pipe_was_pending && sigismember(&pending, SIGPIPE) == 1) {
        sigemptyset(&pipe_only);
        sigaddset(&pipe_only, SIGPIPE);
        sigtimedwait(&pipe_only, NULL, &at_once);
    }
    pthread_sigmask(SIG_SETMASK, &q->before, NULL);
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

/* ---- the life of the whole ---- */

void http_init(http *h, memory *m)
{
    memset(h, 0, sizeof *h);
    h->memory = m;
}

void http_free(http *h)
{
    quiet q;
    if (!h->multi)
        return;
    quiet_begin(&q);
    curl_multi_cleanup(h->multi);
    quiet_end(&q);
    h->multi = NULL;
}

static bool http_open(http *h)
{
    if (!h->multi && http_global_init(h))
        h->multi = curl_multi_init();
    return h->multi != NULL;
}

/* ---- configuring one exchange ---- */

static bool is_good(const http_transfer *t)
{
    long status = 0;
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    return status >= 200 && status <= 299;
}

static size_t on_body(char *data, size_t size, size_t count, void *user)
{
    http_transfer *t = user;
    size_t bytes = size * count, room = t->body_room ? t->body_room : BODY_FIRST;
    if (t->request.sink && is_good(t))
        return http_stream_write(t, data, bytes) ? bytes : 0;
    if (bytes > HTTP_BODY_MAX - t->body_size) {
        t->fault = HTTP_TOO_LARGE;
        return 0;
    }
    while (room < t->body_size + bytes + 1)
        room *= 2;
    if (room != t->body_room) {
        char *grown = memory_realloc(t->h->memory, t->body, t->body_room, room);
        if (!grown) {
            t->fault = HTTP_NO_MEMORY;
            return 0;
        }
        t->body = grown;
        t->body_room = room;
    }
    memcpy(t->body + t->body_size, data, bytes);
    t->body_size += bytes;
    t->body[t->body_size] = '\0';
    return bytes;
}

/* POST and PUT carry a body, be it an empty one. */
static bool has_body(const http_request *r)
{
    return r->body || r->source || strcmp(r->method, "POST") == 0 || strcmp(r->method, "PUT") == 0;
}

/* The transfer's own header in front of the server's list, which all transfers share. */
static bool set_headers(http_transfer *t)
{
    char line[128];
    if (!has_body(&t->request))
        return curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->server->headers) == CURLE_OK;
    snprintf(line, sizeof line, t->request.content_type ? "Content-Type: %s" : "Content-Type:",
             t->request.content_type);
    t->content_header = curl_slist_append(NULL, line);
    if (!t->content_header)
        return false;
    t->content_header->next = t->server->headers;
    return curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->content_header) == CURLE_OK;
}

static bool set_method(http_transfer *t)
{
    const http_request *r = &t->request;
    CURL *e = t->easy;
    if (has_body(r) &&
        (curl_easy_setopt(e, CURLOPT_POST, 1L) != CURLE_OK ||
         (!r->source &&
          curl_easy_setopt(e, CURLOPT_POSTFIELDS, r->body ? r->body : "") != CURLE_OK) ||
         curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body_size) != CURLE_OK))
        return false;
    return strcmp(r->method, "GET") == 0 ||
           curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, r->method) == CURLE_OK;
}

static bool set_url(http_transfer *t)
{
    memory *m = t->h->memory;
    size_t base = strlen(t->server->options.url), size = base + strlen(t->request.path) + 1;
    char *url = memory_realloc(m, NULL, 0, size);
    bool ok;
    if (!url)
        return false;
    memcpy(url, t->server->options.url, base);
    memcpy(url + base, t->request.path, size - base);
    ok = curl_easy_setopt(t->easy, CURLOPT_URL, url) == CURLE_OK;
    memory_realloc(m, url, size, 0);
    return ok;
}

static bool set_text(CURL *e, CURLoption option, const char *text)
{
    return !text || curl_easy_setopt(e, option, text) == CURLE_OK;
}

static bool set_credentials(CURL *e, const http_server *s)
{
    if (s->options.token &&
        (curl_easy_setopt(e, CURLOPT_HTTPAUTH, CURLAUTH_BEARER) != CURLE_OK ||
         curl_easy_setopt(e, CURLOPT_XOAUTH2_BEARER, s->options.token) != CURLE_OK))
        return false;
    if (s->options.username && curl_easy_setopt(e, CURLOPT_HTTPAUTH, CURLAUTH_BASIC) != CURLE_OK)
        return false;
    return set_text(e, CURLOPT_USERNAME, s->options.username) &&
           set_text(e, CURLOPT_PASSWORD, s->options.password);
}

static bool set_security(CURL *e, const http_server *s)
{
    const char *proxy = s->options.proxy;
    if (s->options.insecure) {
        curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    if (!proxy && (!s->options.environment_proxy || s->loopback))
        proxy = ""; /* else libcurl would look at the environment */
    return set_credentials(e, s) && set_text(e, CURLOPT_PROXY, proxy) &&
           set_text(e, CURLOPT_PROXYUSERNAME, s->proxy_username) &&
           set_text(e, CURLOPT_PROXYPASSWORD, s->proxy_password) &&
           set_text(e, CURLOPT_CAINFO, s->options.ca) &&
           set_text(e, CURLOPT_SSLCERT, s->options.cert) &&
           set_text(e, CURLOPT_SSLKEY, s->options.key) &&
           curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK;
}

/* Rounded up: what ends with the caller's deadline must not end before it. */
static long milliseconds(double seconds)
{
    if (seconds <= 0)
        return 0;
    return seconds < 0.001 ? 1 : seconds > 2e6 ? 2000000000L : (long)ceil(seconds * 1000);
}

/* Options that only store a number cannot fail. */
static void set_behaviour(http_transfer *t)
{
    CURL *e = t->easy;
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_PRIVATE, t);
    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, t->error);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(e, CURLOPT_PATH_AS_IS,
                     1L); /* what a path says is the caller's: ".." is not ours to resolve */
    curl_easy_setopt(e, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(e, CURLOPT_FRESH_CONNECT, t->request.side_effects ? 1L : 0L);
    curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, milliseconds(t->request.timeout));
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS,
                     milliseconds(t->server->options.connect_timeout));
    curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE,
                     1L); /* notices a server that died while it worked for us */
    curl_easy_setopt(e, CURLOPT_TCP_KEEPIDLE, 30L);
    curl_easy_setopt(e, CURLOPT_TCP_KEEPINTVL, 10L);
#if LIBCURL_VERSION_NUM >= 0x075700
    curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L); /* giving up does not wait for the resolver */
#endif
}

/* On this machine a compressed answer takes longer to pack and to unpack than to send plain;
 * unasked for, it is unpacked all the same. What goes to a file is so large, or packed, already. */
static const char *encodings(const http_transfer *t)
{
    return t->server->loopback || t->request.sink ? "identity" : "gzip, deflate";
}

static bool configure(http_transfer *t)
{
    set_behaviour(t);
    return set_url(t) && set_method(t) && set_headers(t) && set_security(t->easy, t->server) &&
           curl_easy_setopt(t->easy, CURLOPT_ACCEPT_ENCODING, encodings(t)) == CURLE_OK &&
           http_stream_configure(t) &&
           curl_easy_setopt(t->easy, CURLOPT_USERAGENT, "modalua/" VERSION) == CURLE_OK;
}

/* ---- admission and the end ---- */

static void release_easy(http_transfer *t)
{
    quiet q;
    if (!t->easy)
        return;
    quiet_begin(&q);
    if (t->state == HTTP_RUNNING)
        curl_multi_remove_handle(t->h->multi, t->easy);
    curl_easy_cleanup(t->easy);
    quiet_end(&q);
    t->easy = NULL;
    t->location = NULL;
    if (t->content_header)
        t->content_header->next = NULL; /* the rest is the server's */
    curl_slist_free_all(t->content_header);
    t->content_header = NULL;
}

static void log_outcome(const http_transfer *t)
{
    char line[1024];
    const http_request *r = &t->request;
    const char *why = t->error[0]             ? t->error
                      : t->fault == HTTP_FILE ? "the file failed"
                                              : curl_easy_strerror(t->curl_code);
    size_t bytes = r->sink && !t->body ? (size_t)r->sink->done : t->body_size;
    if (!t->h->log)
        return;
    if (t->fault == HTTP_OK)
        snprintf(line, sizeof line, "%s %s%s %ld in %.1f ms, %zu B", r->method,
                 t->server->options.url, r->path, t->status, t->seconds * 1000, bytes);
    else
        snprintf(line, sizeof line, "%s %s%s failed in %.1f ms: %s", r->method,
                 t->server->options.url, r->path, t->seconds * 1000, why);
    t->h->log(t->h->log_user, line);
}

/* The transfer's outcome stands: it leaves the network and waits to be collected. */
static void finish(http_transfer *t)
{
    if (t->state == HTTP_RUNNING) {
        t->seconds = clock_now() - t->seconds;
        t->h->running--;
        t->server->gate->running--;
    }
    t->state = HTTP_DONE;
    list_append(&t->h->finished, t);
    log_outcome(t);
}

static void admit(http_transfer *t)
{
    http *h = t->h;
    t->easy = curl_easy_init();
    if (t->easy && http_stream_begin(t) && configure(t) &&
        curl_multi_add_handle(h->multi, t->easy) == CURLM_OK) {
        t->state = HTTP_RUNNING;
        t->seconds = clock_now();
        h->running++;
        t->server->gate->running++;
        return;
    }
    if (t->fault == HTTP_OK)
        t->fault = HTTP_NO_MEMORY;
    finish(t);
}

static void gate_admit(http *h, http_gate *g)
{
    http_transfer *t;
    while ((t = g->queue.first) && g->running < t->server->options.max_inflight &&
           (h->max_running == 0 || h->running < h->max_running)) {
        list_remove(&g->queue, t);
        h->waiting--;
        admit(t);
    }
}

/* Room in one place can be room for any server when there is a bound over all. */
static void admit_more(http *h, http_gate *freed)
{
    gate_admit(h, freed);
    for (http_gate *g = h->gates; g && h->max_running > 0 && h->waiting > 0; g = g->next)
        gate_admit(h, g);
}

bool http_begin(http_transfer *t, http *h, http_server *s, const http_request *r)
{
    if (!http_open(h))
        return false;
    memset(t, 0, offsetof(http_transfer, owner));
    t->h = h;
    t->server = s;
    t->request = *r;
    t->state = HTTP_WAITING;
    t->fault = HTTP_OK;
    t->curl_code = CURLE_OK;
    t->status = 0;
    t->moved = t->total = t->retry_after = 0;
    t->seconds = 0;
    t->reused = false;
    t->content_type[0] = t->error[0] = '\0';
    curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, (long)h->pool);
    list_append(&s->gate->queue, t);
    h->waiting++;
    gate_admit(h, s->gate);
    return true;
}

void http_end(http_transfer *t)
{
    http_state was = t->state;
    if (was == HTTP_WAITING) {
        list_remove(&t->server->gate->queue, t);
        t->h->waiting--;
    } else if (was == HTTP_RUNNING) {
        t->h->running--;
        t->server->gate->running--;
    } else if (was == HTTP_DONE && (t->prev || t->h->finished.first == t)) {
        list_remove(&t->h->finished, t);
    }
    release_easy(t);
    if (t->body)
        memory_realloc(t->h->memory, t->body, t->body_room, 0);
    t->body = NULL;
    t->body_size = t->body_room = 0;
    t->state = HTTP_IDLE;
    if (was == HTTP_RUNNING)
        admit_more(t->h, t->server->gate);
}

/* ---- moving on ---- */

static void note_answer(http_transfer *t)
{
    char *type = NULL;
    long connects = 0;
    size_t i = 0;
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &t->status);
    curl_easy_getinfo(t->easy, CURLINFO_CONTENT_TYPE, &type);
    curl_easy_getinfo(t->easy, CURLINFO_NUM_CONNECTS, &connects);
    curl_easy_getinfo(t->easy, CURLINFO_REDIRECT_URL, &t->location);
    curl_easy_getinfo(t->easy, CURLINFO_RETRY_AFTER, &t->retry_after);
    t->reused = connects == 0;
    for (; type && type[i] && !strchr("; \t", type[i]) && i + 1 < sizeof t->content_type; i++)
        t->content_type[i] = (char)tolower((unsigned char)type[i]);
    t->content_type[i] = '\0';
}

static void collect(http *h, CURLMsg *message)
{
    http_transfer *t = NULL;
    CURLcode code = message->data.result; /* the message dies with the handle's removal */
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&t);
    t->curl_code = code;
    if (code != CURLE_OK && t->fault == HTTP_OK)
        t->fault = HTTP_CURL;
    note_answer(t);
    curl_multi_remove_handle(h->multi, t->easy);
    finish(t);
    admit_more(h, t->server->gate);
}

bool http_may_pass(const http_transfer *t)
{
    if (t->fault == HTTP_OK) /* too many requests, and what proxies say of the server behind them */
        return t->status == 429 || (t->status >= 502 && t->status <= 504);
    if (t->fault == HTTP_SILENT)
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

void http_perform(http *h)
{
    CURLMsg *message;
    quiet q;
    int left;
    if (h->running == 0)
        return;
    quiet_begin(&q);
    curl_multi_perform(h->multi, &left);
    while ((message = curl_multi_info_read(h->multi, &left)))
        if (message->msg == CURLMSG_DONE)
            collect(h, message);
    quiet_end(&q);
}

http_transfer *http_next_finished(http *h)
{
    http_transfer *t = h->finished.first;
    if (t)
        list_remove(&h->finished, t);
    return t;
}

void http_wait(http *h, int fd, int wait_ms)
{
    if (wait_ms < 0 || wait_ms > WAIT_MAX_MS)
        wait_ms = WAIT_MAX_MS;
    if (h->multi) {
        struct curl_waitfd extra = { .fd = fd, .events = CURL_WAIT_POLLIN };
        curl_multi_poll(h->multi, &extra, fd >= 0 ? 1 : 0, wait_ms, NULL);
    } else {
        struct pollfd extra = { .fd = fd, .events = POLLIN };
        poll(&extra, fd >= 0 ? 1 : 0, wait_ms);
    }
}

/* libcurl tells of them in sets that hold no high numbers, and tells of none for a while. */
int http_fds(http *h, struct pollfd *fds, int count, int *milliseconds)
{
    fd_set in, out, other;
    int highest = -1, n = 0;
    long due = -1;
    if (!h->multi)
        return 0;
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_ZERO(&other);
    curl_multi_fdset(h->multi, &in, &out, &other, &highest);
    for (int fd = 0; fd <= highest; fd++) {
        short events =
            (short)((FD_ISSET(fd, &in) ? POLLIN : 0) | (FD_ISSET(fd, &out) ? POLLOUT : 0));
        if (events && n < count)
            fds[n] = (struct pollfd){ .fd = fd, .events = events };
        n += events != 0;
    }
    curl_multi_timeout(h->multi, &due);
    if (due >= 0 && due < *milliseconds)
        *milliseconds = (int)due;
    return n;
}
