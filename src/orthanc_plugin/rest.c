#include "orthanc_plugin/rest.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orthanc_plugin/rest_answer.h"

/* A request that waits for a thread. What it points to is in the same block of memory. */
typedef struct job job;
struct job {
    job *next;
    modalua_response *response;
    OrthancPluginHttpMethod method;
    const char *method_name;
    char *uri;
    const char **keys, **values; /* of the headers */
    unsigned headers;
    char *body;
    size_t body_size;
    bool reads; /* the body is still to be read from the response */
};

struct rest_pool {
    OrthancPluginContext *context;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t *threads;
    unsigned count, max, idle;
    unsigned waiting; /* the requests in the list */
    job *first, **last;
    bool ends;
};

/* ---- a request ---- */

static OrthancPluginHttpMethod method_of(const char *name)
{
    return strcmp(name, "POST") == 0     ? OrthancPluginHttpMethod_Post
           : strcmp(name, "PUT") == 0    ? OrthancPluginHttpMethod_Put
           : strcmp(name, "DELETE") == 0 ? OrthancPluginHttpMethod_Delete
                                         : OrthancPluginHttpMethod_Get;
}

/* Where the names of a request's headers are copied to, one behind the other. */
static char *copy(char **at, const char *from, size_t size)
{
    char *to = *at;
    memcpy(to, from, size);
    to[size] = '\0';
    *at += size + 1;
    return to;
}

/* Orthanc ignores what is behind '?' in other requests than GET, and the plugin API would take it for a part of the
 * path. */
static size_t path_size(const modalua_request *q)
{
    const char *path = q->url + strlen(REST_URL);
    return strcmp(q->method, "GET") == 0 ? strlen(path) : strcspn(path, "?");
}

/* The value of a hexadecimal digit; -1: it is none. */
static int digit(char c)
{
    return c >= '0' && c <= '9'                 ? c - '0'
           : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                : -1;
}

/* Decodes %XX in the path, in its place, as the HTTP server does, but not behind '?': there Orthanc does it. What would
 * end the path, NUL and '?', stays encoded, and is not found then. */
static void decode_path(char *path)
{
    char *to = path;
    const char *at = path;
    for (; *at && *at != '?'; at++) {
        int high = *at == '%' ? digit(at[1]) : -1, low = high >= 0 ? digit(at[2]) : -1,
            c = 16 * high + low;
        bool is_code = low >= 0 && c != 0 && c != '?';
        *to++ = is_code ? (char)c : *at;
        at += is_code ? 2 : 0;
    }
    memmove(to, at, strlen(at) + 1);
}

static void copy_headers(job *j, const modalua_request *q, char **at)
{
    for (const char *const *line = q->headers; *line; line++) {
        size_t name = strcspn(*line, ":");
        const char *value = *line + name + ((*line)[name] == ':');
        j->keys[j->headers] = copy(at, *line, name);
        value += strspn(value, " \t");
        j->values[j->headers++] = copy(at, value, strlen(value));
    }
}

/* NULL: not enough memory. */
static job *job_new(const modalua_request *q, modalua_response *r)
{
    size_t lines = 0, chars = path_size(q) + 2;
    job *j;
    char *at;
    for (const char *const *line = q->headers; *line; line++, lines++)
        chars += strlen(*line) + 2;
    j = calloc(1, sizeof *j + 2 * lines * sizeof *j->keys + chars + q->body_size);
    if (!j)
        return NULL;
    j->response = r;
    j->method_name = strcmp(q->method, "POST") == 0     ? "POST"
                     : strcmp(q->method, "PUT") == 0    ? "PUT"
                     : strcmp(q->method, "DELETE") == 0 ? "DELETE"
                                                        : "GET";
    j->method = method_of(q->method);
    j->keys = (const char **)(j + 1);
    j->values = j->keys + lines;
    j->body = (char *)(j->values + lines);
    j->body_size = q->body_size;
    if (q->body_size > 0)
        memcpy(j->body, q->body, q->body_size);
    at = j->body + q->body_size;
    j->uri = copy(&at, q->url + strlen(REST_URL), path_size(q));
    decode_path(j->uri);
    copy_headers(j, q, &at);
    j->reads = q->file_size > 0;
    if (j->reads)
        j->body_size = (size_t)q->file_size;
    return j;
}

#define TOO_LARGE "the body is too large for the memory, or for Orthanc's plugins (4 GB)"

/* Reads a body that is a file. NULL: why it cannot be sent; the response gets that. */
static char *read_body(const job *j, const char **why)
{
    char *body = malloc(j->body_size);
    size_t size = 0;
    long n = 1;
    while (body && size < j->body_size && n > 0) {
        n = modalua_response_read(j->response, body + size, j->body_size - size);
        size += n > 0 ? (size_t)n : 0;
    }
    if (body && size == j->body_size)
        return body;
    *why = body ? "the body cannot be read" : TOO_LARGE;
    free(body);
    return NULL;
}

/* ---- a thread of the pool ---- */

/* Whether the script does not wait for the answer any more, since its time is over, or the script has been stopped.
 * A job that modalua cancels when a script ends is to be cancelled all the same. */
static bool is_given_up(const job *j)
{
    char none;
    bool is_cancel = strncmp(j->uri, "/jobs/", 6) == 0 && strstr(j->uri, "/cancel");
    return !is_cancel && modalua_response_read(j->response, &none, 0) == MODALUA_E_CANCELLED;
}

static void carry_out(const rest_pool *p, const job *j)
{
    OrthancPluginMemoryBuffer body = { 0 }, headers = { 0 };
    OrthancPluginErrorCode error;
    uint16_t status = 0;
    const char *why = NULL;
    char *file;
    if (is_given_up(j)) {
        modalua_response_fail(j->response, MODALUA_NOT_SENT, "");
        return;
    }
    if (j->body_size > UINT32_MAX)
        why = TOO_LARGE; /* the plugin API would cut it */
    file = !why && j->reads ? read_body(j, &why) : NULL;
    if (why) {
        modalua_response_fail(j->response, MODALUA_NOT_SENT, why);
        return;
    }
    error = OrthancPluginCallRestApi(p->context, &body, &headers, &status, j->method, j->uri,
                                     j->headers, j->keys, j->values, file ? file : j->body,
                                     (uint32_t)j->body_size, 1);
    if (error == OrthancPluginErrorCode_Success)
        rest_answer_send(p->context, j->response, status, &headers, &body, j->method_name, j->uri);
    else
        rest_answer_send_error(p->context, j->response, error, j->method_name, j->uri);
    if (body.data)
        OrthancPluginFreeMemoryBuffer(p->context, &body);
    if (headers.data)
        OrthancPluginFreeMemoryBuffer(p->context, &headers);
    free(file);
}

/* The next request; NULL: the pool ends. Waits. */
static job *rest_take(rest_pool *p)
{
    job *j;
    pthread_mutex_lock(&p->lock);
    p->idle++;
    pthread_cond_broadcast(&p->changed); /* for rest_pool_wait */
    while (!p->first && !p->ends)
        pthread_cond_wait(&p->changed, &p->lock);
    p->idle--;
    j = p->first;
    if (j) {
        p->first = j->next;
        p->waiting--;
        if (!p->first)
            p->last = &p->first;
    }
    pthread_mutex_unlock(&p->lock);
    return j;
}

static void *work(void *user)
{
    rest_pool *p = user;
    job *j;
    while ((j = rest_take(p))) {
        carry_out(p, j);
        free(j);
    }
    return NULL;
}

/* ---- the pool ---- */

rest_pool *rest_pool_new(OrthancPluginContext *context, unsigned threads)
{
    rest_pool *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->threads = calloc(threads, sizeof *p->threads);
    p->context = context;
    p->max = threads;
    p->last = &p->first;
    if (!p->threads || pthread_mutex_init(&p->lock, NULL) != 0) {
        free(p->threads);
        free(p);
        return NULL;
    }
    pthread_cond_init(&p->changed, NULL);
    return p;
}

/* Starts one more thread for a new request when each idle thread has a request already: one that has been woken
 * counts as idle until it has the lock. The pool is locked. */
static void grow(rest_pool *p)
{
    if (p->waiting >= p->idle && p->count < p->max &&
        pthread_create(&p->threads[p->count], NULL, work, p) == 0) {
        pthread_setname_np(p->threads[p->count], "modalua:rest");
        p->count++;
    }
}

void rest_pool_send(rest_pool *p, const modalua_request *request, modalua_response *response)
{
    job *j = job_new(request, response);
    bool taken = false;
    pthread_mutex_lock(&p->lock);
    if (j && !p->ends)
        grow(p);
    if (j && !p->ends && p->count > 0) {
        *p->last = j;
        p->last = &j->next;
        p->waiting++;
        taken = true;
        pthread_cond_broadcast(&p->changed);
    }
    pthread_mutex_unlock(&p->lock);
    if (taken)
        return;
    free(j);
    modalua_response_fail(response, MODALUA_NOT_SENT,
                          "the server has no memory or no thread for the request");
}

void rest_pool_wait(rest_pool *p, const struct timespec *until)
{
    int failed = 0;
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    while ((p->first || p->idle < p->count) && failed == 0)
        failed = pthread_cond_timedwait(&p->changed, &p->lock, until);
    pthread_mutex_unlock(&p->lock);
}

void rest_pool_close(rest_pool *p)
{
    job *rest, *next;
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->ends = true;
    rest = p->first;
    p->first = NULL;
    p->last = &p->first;
    p->waiting = 0;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
    for (; rest; rest = next) {
        next = rest->next;
        modalua_response_fail(rest->response, MODALUA_NOT_SENT, "the server stops");
        free(rest);
    }
}

void rest_pool_free(rest_pool *p)
{
    if (!p)
        return;
    rest_pool_close(p);
    for (unsigned i = 0; i < p->count; i++)
        pthread_join(p->threads[i], NULL);
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
    free(p->threads);
    free(p);
}
