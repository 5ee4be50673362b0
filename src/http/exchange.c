#include "http/exchange.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/partial_file.h"
#include "http/body.h"
#include "http/server.h"
#include "http/stream.h"

struct modalua_response {
    pthread_mutex_t lock;
    unsigned holders;         /* 1 or 2: the transfer, the host */
    void (*wake)(void *user); /* ends the wait of the runtime; NULL = the transfer has ended */
    void *wake_user;
    bool ended; /* by the host */
    http_fault fault;
    CURLcode code;
    char message[CURL_ERROR_SIZE];

    /* ---- the head ---- */
    long status; /* 0 = it has not come */
    char content_type[64];
    char *location;
    curl_off_t retry_after, total;
    bool encoded; /* the body is compressed: Content-Length may be that of another form of it */

    /* ---- the body of the answer: in memory, or in a file ---- */
    char *body;
    size_t size, room, max;
    int sink;      /* a descriptor of its own; -1 = none */
    http_file *to; /* instead, a stream of the host; it is there as long as `wake` is */
    curl_off_t written;

    /* ---- the body of the request, when it is a file ---- */
    int source;      /* a descriptor of its own; -1 = none */
    http_file *from; /* instead, a stream */
    curl_off_t source_size, read;
    int file_error; /* with HTTP_FILE: errno */
};

/* ---- life ---- */

/* Ends a hold of the caller, who has locked the response. */
static void unlock_and_release(modalua_response *r)
{
    bool last = --r->holders == 0;
    pthread_mutex_unlock(&r->lock);
    if (!last)
        return;
    pthread_mutex_destroy(&r->lock);
    if (r->sink >= 0)
        close(r->sink);
    if (r->source >= 0)
        close(r->source);
    free(r->location);
    free(r->body);
    free(r);
}

/* A descriptor of its own for the file; -1: there is no file. False: errno says why not. */
static bool copy_descriptor(int *copy, const http_file *f)
{
    bool is_file = f && !f->stream;
    *copy = is_file ? fcntl(f->fd, F_DUPFD_CLOEXEC, 0) : -1;
    return !is_file || *copy >= 0;
}

/* Allocates from the C library: the runtime's account is for one thread. The limit of that account is
 * r->max, and what has been received is moved to the account at the end. NULL: t->fault is set. */
static modalua_response *response_new(http_transfer *t)
{
    const http_request *q = &t->request;
    modalua_response *r = calloc(1, sizeof *r);
    t->fault = HTTP_NO_MEMORY;
    if (!r)
        return NULL;
    r->sink = r->source = -1;
    if (pthread_mutex_init(&r->lock, NULL) != 0) {
        free(r);
        return NULL;
    }
    r->holders = 1;
    r->max = body_max(t->h->memory);
    if (memory_left(t->h->memory) < r->max)
        r->max = memory_left(t->h->memory);
    r->source_size = q->source ? q->source->size : 0;
    r->to = q->sink && q->sink->stream ? q->sink : NULL;
    r->from = q->source && q->source->stream ? q->source : NULL;
    if (!copy_descriptor(&r->sink, q->sink) || !copy_descriptor(&r->source, q->source)) {
        (q->sink ? q->sink : q->source)->error = errno;
        t->fault = HTTP_FILE;
        pthread_mutex_lock(&r->lock);
        unlock_and_release(r);
        return NULL;
    }
    t->fault = HTTP_OK;
    return r;
}

/* ---- the request, as the host sees it ---- */

/* The lines of the request's head, one behind the other in `text`. */
typedef struct head {
    memory *m;
    char *text;
    size_t size, room, count;
    bool is_short; /* there was not enough memory */
} head;

static void head_add(head *h, const char *text, size_t size)
{
    if (size == 0 || h->is_short)
        return;
    if (!h->text || h->size + size > h->room) {
        size_t room = 2 * (h->size + size);
        char *grown = memory_realloc(h->m, NULL, 0, room);
        if (!grown) {
            h->is_short = true;
            return;
        }
        if (h->text) {
            memcpy(grown, h->text, h->size);
            explicit_bzero(h->text, h->size);
            memory_realloc(h->m, h->text, h->room, 0);
        }
        h->text = grown;
        h->room = room;
    }
    memcpy(h->text + h->size, text, size);
    h->size += size;
}

static void head_add_text(head *h, const char *text)
{
    head_add(h, text, strlen(text));
}

static void head_end_line(head *h)
{
    head_add(h, "", 1);
    h->count++;
}

/* Base64 of user:password (RFC 7617). */
static void head_add_credentials(head *h, const http_options *o)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *password = o->password ? o->password : "";
    size_t user = strlen(o->username), all = user + 1 + strlen(password);
    uint32_t bits = 0;
    char four[4];
    for (size_t i = 0; i < all + 2 - (all + 2) % 3; i++) {
        unsigned char c = i < user    ? (unsigned char)o->username[i]
                          : i == user ? ':'
                          : i < all   ? (unsigned char)password[i - user - 1]
                                      : 0;
        bits = bits << 8 | c;
        if (i % 3 < 2)
            continue;
        for (size_t k = 0; k < 4; k++)
            four[k] = i - 2 + k > all ? '=' : digits[bits >> (18 - 6 * k) & 63];
        head_add(h, four, sizeof four);
    }
    explicit_bzero(&bits, sizeof bits);
    explicit_bzero(four, sizeof four);
}

/* libcurl takes "Name:" for a header that it must not send, and "Name;" for one with an empty value. */
static void head_add_curl_line(head *h, const char *line)
{
    size_t size = strlen(line), name = strcspn(line, ":;");
    if (name + 1 == size && line[name] == ':')
        return;
    head_add(h, line, name);
    head_add_text(h, ":");
    head_add_text(h, line[name] ? line + name + 1 : "");
    head_end_line(h);
}

static void head_fill(head *h, const http_transfer *t)
{
    const http_server *s = t->server;
    if (t->request.content_type) {
        head_add_text(h, "Content-Type: ");
        head_add_text(h, t->request.content_type);
        head_end_line(h);
    }
    for (const struct curl_slist *l = s->headers; l; l = l->next)
        head_add_curl_line(h, l->data);
    if ((s->options.token || s->options.username) && !s->authorization) {
        head_add_text(h, s->options.token ? "Authorization: Bearer " : "Authorization: Basic ");
        if (s->options.token)
            head_add_text(h, s->options.token);
        else
            head_add_credentials(h, &s->options);
        head_end_line(h);
    }
    head_add_text(h, s->options.url); /* the URL is behind the lines */
    head_add_text(h, t->request.path);
    head_add(h, "", 1);
}

/* Calls the host with the request. `lines` has room for the addresses of all lines, and a NULL. */
static void call_host(http_transfer *t, modalua_response *r, const head *h, const char **lines)
{
    const char *at = h->text;
    for (size_t i = 0; i < h->count; i++, at += strlen(at) + 1)
        lines[i] = at;
    lines[h->count] = NULL;
    host_thread_lend(t->h->thread);
    t->h->transport(t->h->transport_user,
                    &(modalua_request){ .method = t->request.method,
                                        .url = at,
                                        .headers = lines,
                                        .body = t->request.body,
                                        .body_size = t->request.body_size,
                                        .file_size = (long)r->source_size,
                                        .timeout = t->request.timeout },
                    r);
    host_thread_take_back(t->h->thread);
}

bool http_exchange_begin(http_transfer *t)
{
    memory *m = t->h->memory;
    head h = { .m = m };
    modalua_response *r = response_new(t);
    const char **lines;
    size_t size;
    if (!r)
        return false;
    t->exchange = r;
    t->last_moved = clock_now();
    head_fill(&h, t);
    size = (h.count + 1) * sizeof *lines;
    lines = h.is_short ? NULL : memory_realloc(m, NULL, 0, size);
    if (lines) {
        r->holders++;
        r->wake = t->h->wake;
        r->wake_user = t->h->wake_user;
        call_host(t, r, &h, lines);
        memory_realloc(m, lines, size, 0);
    }
    if (h.text) {
        explicit_bzero(h.text, h.size);
        memory_realloc(m, h.text, h.room, 0);
    }
    if (!lines)
        t->fault = HTTP_NO_MEMORY;
    return lines != NULL;
}

/* ---- the transfer's side ---- */

static bool fail_transfer(http_transfer *t, http_fault fault, CURLcode code, const char *message)
{
    t->fault = fault;
    t->curl_code = code;
    snprintf(t->error, sizeof t->error, "%s", message);
    return true;
}

/* The time that is over first; HUGE_VAL: none is set. */
static double due(const http_transfer *t)
{
    const http_request *q = &t->request;
    double end = q->timeout > 0 ? t->started + q->timeout : HUGE_VAL;
    double stalled = q->stall_timeout > 0 && t->moved > 0 && t->moved != t->total
                         ? t->last_moved + q->stall_timeout
                         : HUGE_VAL;
    return fmin(end, stalled);
}

void http_exchange_shorten(const http_transfer *t, double now, int *milliseconds)
{
    double left = (due(t) - now) * 1000;
    if (left < *milliseconds)
        *milliseconds = left <= 0 ? 0 : (int)left + 1;
}

/* Moves the body to the runtime's account. The response is locked. */
static void take_body(http_transfer *t, modalua_response *r)
{
    if (r->size == 0)
        return;
    t->body = memory_realloc(t->h->memory, NULL, 0, r->size + 1);
    if (!t->body) {
        t->fault = HTTP_NO_MEMORY;
        return;
    }
    memcpy(t->body, r->body, r->size);
    t->body[r->size] = '\0';
    t->body_size = r->size;
    t->body_room = r->size + 1;
    free(r->body);
    r->body = NULL;
    r->size = r->room = 0;
}

/* The host has ended the response, which is locked. */
static void take_outcome(http_transfer *t, modalua_response *r)
{
    fail_transfer(t, r->fault, r->code, r->message);
    t->has_head = r->status > 0;
    t->status = r->status;
    t->location = r->location;
    t->retry_after = r->retry_after;
    memcpy(t->content_type, r->content_type, sizeof t->content_type);
    if (t->request.source && r->fault == HTTP_FILE)
        t->request.source->error = r->file_error;
    else if (t->request.sink)
        t->request.sink->error = r->file_error;
    take_body(t, r);
}

bool http_exchange_collect(http_transfer *t, double now)
{
    modalua_response *r = t->exchange;
    curl_off_t moved;
    bool ended, is_due;
    pthread_mutex_lock(&r->lock);
    moved = t->request.sink ? r->written : r->read;
    if (t->request.sink)
        t->request.sink->done = r->written;
    t->total = t->request.sink ? r->total : r->source_size;
    if (moved != t->moved) {
        t->moved = moved;
        t->last_moved = now;
    }
    ended = r->ended;
    is_due = !ended && now >= due(t);
    if (ended)
        take_outcome(t, r);
    else if (is_due)
        r->wake = NULL; /* nothing is written any more, also when the request is sent again */
    pthread_mutex_unlock(&r->lock);
    if (!is_due)
        return ended;
    if (t->request.timeout > 0 && now - t->started >= t->request.timeout)
        return fail_transfer(t, HTTP_CURL, CURLE_OPERATION_TIMEDOUT,
                             "the host's transport has not answered");
    return fail_transfer(t, HTTP_STALLED, CURLE_OK, "");
}

void http_exchange_end(http_transfer *t)
{
    modalua_response *r = t->exchange;
    if (!r)
        return;
    t->exchange = NULL;
    t->location = NULL;
    pthread_mutex_lock(&r->lock);
    r->wake = NULL;
    unlock_and_release(r);
}

/* ---- the host's side ---- */

/* The status for a call of the host: MODALUA_OK when the response, which is locked, is still wanted. */
static int state_of(const modalua_response *r)
{
    return r->ended ? MODALUA_E_INVALID : r->wake ? MODALUA_OK : MODALUA_E_CANCELLED;
}

/* Copies the value of a header; lower case, up to a semicolon or a blank. */
static void copy_type(char *to, size_t room, const char *value)
{
    size_t i = 0;
    for (; value[i] && !strchr("; \t", value[i]) && i + 1 < room; i++)
        to[i] = (char)tolower((unsigned char)value[i]);
    to[i] = '\0';
}

/* The value of the header line, when it has that name; else NULL. */
static const char *value_of(const char *line, const char *name)
{
    size_t n = strlen(name);
    if (strncasecmp(line, name, n) != 0 || line[n] != ':')
        return NULL;
    return line + n + 1 + strspn(line + n + 1, " \t");
}

/* The seconds of a Retry-After, which can be a date (RFC 9110 10.2.3); 0 for one that is over, and for another text. */
static curl_off_t read_delay(const char *value)
{
    time_t now = time(NULL), date;
    if (isdigit((unsigned char)*value))
        return strtoll(value, NULL, 10);
    date = curl_getdate(value, NULL);
    return date > now ? date - now : 0;
}

static bool take_header(modalua_response *r, const char *line)
{
    const char *value;
    if ((value = value_of(line, "Content-Type")) != NULL)
        copy_type(r->content_type, sizeof r->content_type, value);
    else if ((value = value_of(line, "Content-Length")) != NULL)
        r->total = strtoll(value, NULL, 10);
    else if ((value = value_of(line, "Content-Encoding")) != NULL)
        r->encoded = strcasecmp(value, "identity") != 0;
    else if ((value = value_of(line, "Retry-After")) != NULL)
        r->retry_after = read_delay(value);
    else if ((value = value_of(line, "Location")) != NULL && !r->location)
        return (r->location = strdup(value)) != NULL;
    return true;
}

int modalua_response_head(modalua_response *r, int status, const char *const *headers)
{
    int state;
    if (!r || status < 200 || status > 999)
        return MODALUA_E_INVALID;
    pthread_mutex_lock(&r->lock);
    state = r->status > 0 ? MODALUA_E_INVALID : state_of(r);
    for (; state == MODALUA_OK && headers && *headers; headers++)
        if (!take_header(r, *headers))
            state = MODALUA_E_NOMEM;
    if (state == MODALUA_OK)
        r->status = status;
    pthread_mutex_unlock(&r->lock);
    return state;
}

/* From now on the host writes in vain. */
static int write_failed(modalua_response *r, http_fault fault, int error)
{
    r->fault = fault;
    r->file_error = error;
    return fault == HTTP_FILE        ? MODALUA_E_FILE
           : fault == HTTP_NO_MEMORY ? MODALUA_E_NOMEM
                                     : MODALUA_E_INVALID;
}

/* The host has made a mistake by which a piece of the answer is missing: without it, the answer is broken,
 * whatever the host makes of the status. The first failure stays. */
static int break_response(modalua_response *r, const char *message)
{
    if (r->fault == HTTP_OK) {
        r->code = CURLE_RECV_ERROR;
        snprintf(r->message, sizeof r->message, "%s", message);
        return write_failed(r, HTTP_CURL, 0);
    }
    return MODALUA_E_INVALID;
}

static int write_to_file(modalua_response *r, const char *data, size_t size)
{
    int error = partial_file_write(r->sink, data, size, &r->written);
    return error ? write_failed(r, HTTP_FILE, error) : MODALUA_OK;
}

static int write_to_stream(modalua_response *r, const char *data, size_t size)
{
    int error = http_stream_give(r->to, data, size);
    if (error)
        return write_failed(r, HTTP_FILE, error);
    r->written += (curl_off_t)size;
    return MODALUA_OK;
}

static int write_to_memory(modalua_response *r, const char *data, size_t size)
{
    size_t room = r->room + r->room / 2;
    char *grown;
    if (size > r->max - r->size || r->max < r->size)
        return write_failed(r, HTTP_NO_MEMORY, 0);
    if (r->size + size > r->room) {
        room = room > r->size + size ? room : r->size + size;
        grown = realloc(r->body, room);
        if (!grown)
            return write_failed(r, HTTP_NO_MEMORY, 0);
        r->body = grown;
        r->room = room;
    }
    memcpy(r->body + r->size, data, size);
    r->size += size;
    return MODALUA_OK;
}

int modalua_response_write(modalua_response *r, const void *data, size_t size)
{
    int state;
    if (!r)
        return MODALUA_E_INVALID;
    pthread_mutex_lock(&r->lock);
    state = state_of(r);
    if (state == MODALUA_OK && r->status == 0)
        state = break_response(r, "the host's transport has written before the head");
    else if (state == MODALUA_OK && !data && size > 0)
        state = break_response(r, "the host's transport has written a piece without data");
    else if (state == MODALUA_OK && r->fault != HTTP_OK)
        state = write_failed(r, r->fault, r->file_error);
    else if (state == MODALUA_OK && r->sink >= 0 && r->status <= 299)
        state = write_to_file(r, data, size);
    else if (state == MODALUA_OK && r->to && r->status <= 299)
        state = write_to_stream(r, data, size);
    else if (state == MODALUA_OK && size > 0)
        state = write_to_memory(r, data, size);
    if (state != MODALUA_E_INVALID && r->wake)
        r->wake(r->wake_user);
    pthread_mutex_unlock(&r->lock);
    return state;
}

/* As pread does: less than 0 and errno for a failure. */
static ssize_t read_source(const modalua_response *r, void *into, size_t size)
{
    long n;
    if (!r->from)
        return pread(r->source, into, size, r->read);
    n = http_stream_take(r->from, into, size, r->read);
    if (n < 0)
        errno = n == -EINTR ? EIO : (int)-n;
    return n < 0 ? -1 : n;
}

long modalua_response_read(modalua_response *r, void *into, size_t size)
{
    ssize_t n = 0;
    curl_off_t left;
    if (!r || (!into && size > 0))
        return MODALUA_E_INVALID;
    pthread_mutex_lock(&r->lock);
    left = r->source_size - r->read;
    if (left < (curl_off_t)size)
        size = (size_t)left;
    if (state_of(r) != MODALUA_OK) {
        n = state_of(r);
    } else if (size > 0) {
        do
            n = read_source(r, into, size);
        while (n < 0 && errno == EINTR);
        if (n <= 0) /* 0: the file has become shorter than the length that was announced */
            n = write_failed(r, HTTP_FILE, n < 0 ? errno : 0);
        else
            r->read += n;
        r->wake(r->wake_user);
    }
    pthread_mutex_unlock(&r->lock);
    return (long)n;
}

/* Whether the body is shorter than the head has said. Answers with 204 and 304 have none. */
static bool is_cut(const modalua_response *r)
{
    curl_off_t size = r->written > 0 ? r->written : (curl_off_t)r->size;
    return !r->encoded && r->status != 204 && r->status != 304 && size < r->total;
}

/* Ends the hold of the host. Only a response that has ended before keeps its hold. */
static int end_response(modalua_response *r, http_fault fault, CURLcode code, const char *message)
{
    int state;
    pthread_mutex_lock(&r->lock);
    state = state_of(r);
    if (r->ended) {
        pthread_mutex_unlock(&r->lock);
        return state;
    }
    if (fault == HTTP_OK && state == MODALUA_OK && r->status == 0)
        state = break_response(r, "the host's transport has ended the response without a head");
    if (fault == HTTP_OK && is_cut(r)) {
        fault = HTTP_CURL;
        code = CURLE_PARTIAL_FILE;
        message = "the body is shorter than its Content-Length";
    }
    if (r->fault == HTTP_OK) {
        r->fault = fault;
        r->code = code;
        snprintf(r->message, sizeof r->message, "%s", message);
    }
    r->ended = true;
    if (r->wake)
        r->wake(r->wake_user);
    unlock_and_release(r);
    return state;
}

int modalua_response_end(modalua_response *r)
{
    return r ? end_response(r, HTTP_OK, CURLE_OK, "") : MODALUA_E_INVALID;
}

int modalua_response_fail(modalua_response *r, int failure, const char *message)
{
    static const CURLcode codes[] = { [MODALUA_NOT_SENT] = CURLE_COULDNT_CONNECT,
                                      [MODALUA_BROKEN] = CURLE_RECV_ERROR,
                                      [MODALUA_TIMED_OUT] = CURLE_OPERATION_TIMEDOUT };
    if (!r)
        return MODALUA_E_INVALID;
    if (failure < MODALUA_NOT_SENT || failure > MODALUA_TIMED_OUT)
        failure = MODALUA_BROKEN; /* what promises least */
    return end_response(r, HTTP_CURL, codes[failure],
                        message ? message : "the host's transport has failed");
}
