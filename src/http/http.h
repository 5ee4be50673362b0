/* http/http.h - transfers on one CURLM. Knows no Lua and no JSON.
 *
 * A transfer is embedded in its owner's memory: zero it, http_begin it, and http_end it exactly
 * when it is no longer wanted (at any state, any number of times). Between the two it must not
 * move. Everything here belongs to the thread that drives the runtime.
 *
 * What is promised: only http and https; no redirects; TLS verified unless told otherwise; idle
 * connections are reused for reads only, and a request with side effects goes out on a fresh
 * connection, once (libcurl repeats a POST by itself on a reused connection that died). No more
 * than `max_inflight` transfers run at once against one host and port, whoever asks; the rest wait
 * in order, and their clock starts when they are let in.
 */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include <curl/curl.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/memory.h"

#define HTTP_BODY_MAX ((size_t)256 << 20) /* of one answer, after decompression */

typedef struct http_gate http_gate;
typedef struct http_server http_server;
typedef struct http_transfer http_transfer;

typedef void (*http_log_fn)(void *user, const char *line);

typedef struct http_list {
    http_transfer *first, *last;
} http_list;

/* The transfers of one runtime. The CURLM is made by the first transfer. */
typedef struct http {
    memory *memory;
    CURLM *multi;
    unsigned running;     /* let in and not finished */
    unsigned waiting;     /* begun and not let in */
    unsigned max_running; /* over all servers; 0 = no bound beside each server's own */
    bool no_global_init;  /* the host has called curl_global_init itself */
    http_gate *gates;
    http_list finished;
    unsigned pool;   /* idle connections worth keeping: the largest max_inflight so far */
    http_log_fn log; /* a line per finished request; NULL = none */
    void *log_user;
} http;

/* How a server is reached. Strings are copied; NULL = not given. */
typedef struct http_options {
    const char *url;
    const char *username, *password, *token;
    const char *ca, *cert, *key;
    const char *proxy;      /* NULL = none, unless environment_proxy */
    bool environment_proxy; /* http_proxy and its kin apply, except to loopback */
    bool insecure;          /* TLS certificates are not verified */
    double connect_timeout; /* seconds */
    unsigned max_inflight;  /* at once against this host and port */
    unsigned retries;       /* of a request without side effects (retry.h) */
} http_options;

/* A file that a body comes from or goes to. It is its owner's, who opens and closes it. */
typedef struct http_file {
    int fd;
    curl_off_t size; /* of a source: what is sent */
    curl_off_t done; /* bytes read or written */
    int error;       /* errno of what failed, with HTTP_FILE; 0 = the source has become shorter */
} http_file;

/* One exchange. The strings must outlive the transfer (http_begin to http_end). */
typedef struct http_request {
    const char *method;
    const char *path; /* from '/', already percent-encoded, with its query */
    const char *body; /* NULL = none */
    size_t body_size;
    const char *content_type; /* of the body; NULL = none */
    bool side_effects;        /* fresh connection, never sent twice */
    double timeout;           /* seconds from admission; 0 = no total limit */
    http_file *source;        /* the body, instead of `body`; NULL = none */
    http_file *sink;          /* where the body of a 2xx answer goes; NULL = memory */
    double silence;           /* seconds without a byte, once some have come (of a sink), or gone
                                 (of a body), and while more are due; 0 = any */
} http_request;

typedef enum http_state { HTTP_IDLE, HTTP_WAITING, HTTP_RUNNING, HTTP_DONE } http_state;

/* Why no answer can be given, beside libcurl's own codes. */
typedef enum http_fault {
    HTTP_OK,
    HTTP_CURL,
    HTTP_TOO_LARGE,
    HTTP_NO_MEMORY,
    HTTP_FILE,  /* the source or sink failed: its `error` */
    HTTP_SILENT /* nothing came, or went, for too long */
} http_fault;

struct http_transfer {
    http *h;
    http_server *server;
    http_request request;
    http_state state;
    CURL *easy;
    http_transfer *next, *prev; /* in the gate's queue, or among the finished */
    void *owner;                /* for whoever collects it */
    struct curl_slist *content_header;
    curl_off_t moved, total; /* bytes of the source or sink so far, and in all; 0 = not known */
    double moved_at;         /* when the last of them did, on clock_now's clock */
    /* the outcome, from HTTP_DONE on */
    http_fault fault;
    CURLcode curl_code;
    long status;
    char *body; /* body_size bytes and a NUL; NULL while empty */
    size_t body_size, body_room;
    double seconds;         /* from admission to the end */
    bool reused;            /* an idle connection served it */
    char content_type[64];  /* without parameters, lower case; "" = none */
    curl_off_t retry_after; /* seconds that the server asks to wait; 0 = it says nothing */
    char *location; /* where a 3xx pointed, or NULL; inside the easy handle, until http_end */
    char error[CURL_ERROR_SIZE];
};

void http_init(http *h, memory *m);

/* Frees the CURLM. Every transfer has been ended and every server freed before. */
void http_free(http *h);

/* A server's address, credentials and TLS settings; no I/O. NULL when it cannot be: `why` then says
 * what is wrong with which option, without ever quoting one. user:password@ in the URL become
 * credentials and leave the URL. */
http_server *http_server_new(http *h, const http_options *o, char *why, size_t why_size);

/* Adds a header to every request. Returns NULL, or what is wrong with it, without quoting the
 * value. */
const char *http_server_header(http_server *s, const char *name, const char *value);

/* Passwords and tokens are overwritten. NULL is fine. */
void http_server_free(http_server *s);

const char *http_server_url(const http_server *s);  /* without credentials or trailing slash */
const char *http_server_path(const http_server *s); /* of that URL; "" or with a '/' in front */
bool http_server_has_credentials(const http_server *s);

/* Whether a server has the scheme, host and port of the other, and a path that is its or below. */
bool http_server_is_below(const http_server *s, const http_server *other);
unsigned http_server_retries(const http_server *s);

/* Starts a request, or queues it when its server is busy. False: out of memory; the transfer is
 * idle then. */
bool http_begin(http_transfer *t, http *h, http_server *s, const http_request *r);

/* Takes the transfer off the network and frees what it holds. Idempotent; a zeroed transfer is
 * fine. */
void http_end(http_transfer *t);

/* Whether the failure of a transfer that has ended may well be gone the next time. */
bool http_may_pass(const http_transfer *t);

/* Moves all transfers on without blocking; those that ended can be had from http_next_finished. */
void http_perform(http *h);

/* The next transfer that has ended, each once, in the order in which they ended; NULL when there is
 * none. */
http_transfer *http_next_finished(http *h);

/* Blocks until a transfer can move on, `fd` is readable (-1 = none), or `milliseconds` have passed.
 * A signal ends it too. */
void http_wait(http *h, int fd, int milliseconds);

/* The same for somebody else's poll: fills in what the transfers wait for, at most `count`, and
 * shortens *milliseconds to when they have to be moved on in any case. Returns how many there are; of
 * fewer than are running, some cannot be told. */
int http_fds(http *h, struct pollfd *fds, int count, int *milliseconds);

#endif
