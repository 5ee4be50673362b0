/* http/http.h - HTTP transfers on one CURLM. Knows no Lua and no JSON.
 *
 * A transfer is embedded in its owner's memory, zeroed at first. http_begin starts it; http_end
 * ends it, in any state, any number of times. Between the two it must not move. All functions
 * belong to the thread that drives the runtime.
 *
 * Promises: only http and https; no redirects; TLS verified unless told otherwise. Idle connections
 * are reused for reads only, and at most 16 of a runtime are kept. A request with side effects goes out
 * once, on a fresh connection, which is closed behind it: on a reused connection that has died, libcurl
 * would send a POST a second time. At most `max_inflight`
 * transfers run at the same time with one host and port, across all servers that name it; the
 * others wait in order, and their timeout starts when they start.
 */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include <curl/curl.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/memory.h"
#include "base/stream_ends.h"
#include "http/sockets.h"
#include "modalua.h"

typedef struct http_origin http_origin;
typedef struct http_server http_server;
typedef struct http_transfer http_transfer;

typedef struct http_request http_request;

typedef enum http_log_level {
    HTTP_LOG_DEBUG,   /* a read was answered */
    HTTP_LOG_INFO,    /* another request was answered */
    HTTP_LOG_WARNING, /* an answer is neither 2xx nor 5xx; a request is sent again, or was refused */
    HTTP_LOG_ERROR    /* there is no answer, or one of 5xx */
} http_log_level;

typedef struct http_log_entry {
    http_log_level level;
    const char *line, *error; /* error NULL: there is an answer */
    size_t bytes;             /* of the answer's body */
    const http_transfer *transfer;
} http_log_entry;

typedef void (*http_log_fn)(void *user, const http_log_entry *entry);

/* What has been since the runtime was made. */
typedef struct http_counts {
    unsigned sockets;      /* open now, idle connections included */
    double requests;       /* that have left, and ended */
    double sent, received; /* bytes of bodies */
} http_counts;

/* Decides whether a request may leave. Returns NULL, or why not, a text that is valid until the next
 * call; *code becomes a code for the error, a static text; NULL: there was not enough memory to decide. */
typedef const char *(*http_gate_fn)(void *user, const http_server *s, const http_request *r,
                                    const char **code);

typedef struct http_list {
    http_transfer *first, *last;
} http_list;

/* How many lookups of names may have been given up and still go on (bounds.h). */
enum { HTTP_LOOKUPS_MAX = 16 };

/* The transfers of one runtime. The first one makes the CURLM. */
typedef struct http {
    memory *memory;
    host_thread *thread; /* signals are blocked on it while libcurl works */
    CURLM *multi;
    http_sockets sockets;
    unsigned running;     /* transfers that have started and not ended */
    unsigned waiting;     /* transfers that have not started */
    unsigned max_running; /* limit across all servers; 0 = none but each server's max_inflight */
    bool no_global_init;  /* the host application has called curl_global_init */
    http_origin *origins;
    http_list finished; /* transfers for http_next_finished */
    unsigned pool;      /* idle connections that are kept: the largest max_inflight so far */
    double lookups[HTTP_LOOKUPS_MAX]; /* when each of them has ended, on clock_now's clock */
    bool held_back;                   /* a waiting transfer must not look a name up yet */
    http_counts counts;
    http_log_fn log;          /* gets an entry for each transfer that ends; NULL = none */
    http_log_level log_level; /* the lowest one that it gets */
    void *log_user;
    http_gate_fn gate; /* is asked about each request, also one that is sent again; NULL = none */
    void *gate_user;

    /* ---- the host's transport; NULL = libcurl ---- */
    modalua_transport_fn transport;
    const char *transport_url; /* it carries out the requests below this URL alone; NULL = all */
    void *transport_user;
    void (*wake)(void *user); /* ends http_wait; any thread */
    void *wake_user;
    http_list exchanges; /* the transfers that it carries out */
} http;

/* How to reach a server. Strings are copied; NULL = not given. */
typedef struct http_options {
    const char *url;
    const char *username, *password, *token;
    const char *ca, *cert, *key, *key_password;
    const char *unsent; /* for the message of a 401; not copied: it lives as long as the server */
    const char *proxy;  /* NULL = none, unless environment_proxy */
    bool environment_proxy; /* http_proxy and similar variables apply, except to loopback */
    bool insecure;          /* TLS certificates are not verified */
    double connect_timeout; /* seconds */
    unsigned max_inflight;  /* transfers at the same time with this host and port */
    unsigned retries;       /* of a request without side effects (retry.h) */
} http_options;

/* A file, or a stream of the host, that a body comes from or goes to. The caller opens and closes it. */
typedef struct http_file {
    int fd;
    const modalua_stream_class *stream; /* NULL = it is a file */
    void *object;                       /* of the stream */
    stream_ends *ends;                  /* of a sink that is a stream: what it got */
    curl_off_t size;                    /* of a source: bytes to send */
    curl_off_t done;                    /* bytes read or written so far */
    int error; /* with HTTP_FILE: errno; 0 = the source has become shorter than `size` */
} http_file;

/* A request. Its strings must live until http_end. */
struct http_request {
    /* what the script called, such as "find"; "cleanup" for a cleanup request */
    const char *operation;
    const char *method;
    const char *path; /* from '/', already percent-encoded, with its query */
    const char *body; /* NULL = none */
    size_t body_size;
    const char *content_type; /* of the body; NULL = none */
    bool side_effects;        /* sent once, on a fresh connection */
    unsigned tried;           /* how often it was sent before */
    bool certificate;         /* certificate_end is wanted; on a fresh connection */
    bool cleanup;             /* one of the few that may start beside max_inflight */
    double timeout;           /* seconds from the start of the transfer; 0 = none */
    double latest;        /* it must not leave after that, on clock_boot's clock; 0 = at any time */
    http_file *source;    /* the body, instead of `body`; NULL = none */
    http_file *sink;      /* where the body of a 2xx answer goes; NULL = memory */
    double stall_timeout; /* seconds without a byte of the sink received, or of the body sent,
                                 after the first and before the last one; 0 = none */
};

typedef enum http_state {
    HTTP_IDLE,
    HTTP_WAITING, /* for its turn */
    HTTP_RUNNING,
    HTTP_DONE
} http_state;

/* Why a transfer failed. */
typedef enum http_fault {
    HTTP_OK,        /* it did not: there is an answer, of any status */
    HTTP_CURL,      /* see curl_code */
    HTTP_TOO_LARGE, /* without a memory limit: the body is larger than half of the machine's memory */
    HTTP_NO_MEMORY,
    HTTP_HEAD,    /* the head of the answer is too large */
    HTTP_FILE,    /* see the `error` of the source or sink */
    HTTP_STALLED, /* the stall_timeout is over */
    HTTP_REFUSED  /* nothing was sent: `error` says why, with the code `refusal` */
} http_fault;

struct http_transfer {
    http *h;
    http_server *server;
    http_request request;
    http_state state;
    CURL *easy;
    modalua_response *exchange; /* instead, when the host has a transport (exchange.h) */
    http_transfer *next, *prev; /* in origin->waiting, http->exchanges or http->finished */
    void *owner;                /* the caller's */
    bool apart;                 /* max_inflight does not count it */
    struct curl_slist *content_header;
    double started;    /* on clock_now's clock */
    curl_off_t moved;  /* bytes of the body sent, or of the sink received */
    curl_off_t total;  /* how many these will be; 0 = not known */
    double last_moved; /* when `moved` grew last, on clock_now's clock */
    double last_look;  /* when libcurl last told how much has moved */
    bool has_head;     /* the whole head of the answer has come */
    bool looks_up;     /* a lookup of the server's name has begun, and not ended */
    size_t head_size;  /* bytes of the answer's head so far */
    size_t charged;    /* bytes on the account for libcurl's memory (bounds.h) */

    /* ---- the outcome, in HTTP_DONE ---- */
    http_fault fault;
    CURLcode curl_code;
    long status;
    char *body; /* body_size bytes and a NUL; NULL = it is empty */
    size_t body_size, body_room;
    double seconds;         /* from the start to the end */
    char content_type[64];  /* without parameters, in lower case; "" = none */
    curl_off_t retry_after; /* seconds that the server asks to wait (Retry-After); 0 = none */
    char certificate_end
        [64];         /* until when the server's certificate is valid, as libcurl writes it: "Nov
                                 28 12:00:00 2026 GMT"; "" = not known, or not wanted */
    int socket_error; /* errno, when no socket could be made; 0 = one could */
    const char *refusal;
    char *location; /* target of a redirect, or NULL; valid until http_end */
    char error[CURL_ERROR_SIZE];
};

/* ---- the whole ---- */

void http_init(http *h, memory *m, host_thread *thread);

/* Frees the CURLM. All transfers must have been ended, and all servers freed. */
void http_free(http *h);

/* ---- servers (server.c) ---- */

/* Makes a server: address, credentials and TLS settings. No I/O. user:password@ in the URL becomes
 * the credentials, and is removed from the URL. NULL: `why` says what is wrong with which option;
 * it never quotes a value, which may be a secret. */
http_server *http_server_new(http *h, const http_options *o, char *why, size_t why_size);

/* What is wrong with the options, as a static text; NULL: nothing, or there is not enough memory to
 * say it. Needs no `http`, and does not initialise libcurl. */
const char *http_server_fault(const http_options *o);

/* Adds a header to all requests. Returns NULL, or what is wrong; that never quotes the value. */
const char *http_server_header(http_server *s, const char *name, const char *value);

/* Adds the headers of a text with a line "Name: value" for each, but those that the server has already.
 * Returns as http_server_header does. */
const char *http_server_add_missing(http_server *s, const char *lines);

/* What is wrong with such a text, as a static text; NULL: nothing. */
const char *http_header_lines_fault(const char *lines);

/* Overwrites passwords and tokens. NULL is fine. */
void http_server_free(http_server *s);

const char *http_server_url(const http_server *s);  /* without credentials and trailing slash */
const char *http_server_path(const http_server *s); /* of that URL: "" or "/…" */
bool http_server_has_credentials(const http_server *s);
const char *http_server_unsent(const http_server *s);
bool http_server_is_of_host(
    const http_server *s);                      /* the host's transport carries out its requests */
size_t http_server_bytes(const http_server *s); /* that its headers take */
unsigned http_server_retries(const http_server *s);

/* The path of `other`, of which http_server_is_below is true, becomes the root of s. Until then it is the
 * whole path of s. */
void http_server_set_root(http_server *s, const http_server *other);

/* What the URL of s has behind the root: "" or "/…". */
const char *http_server_base(const http_server *s);

/* Whether both have the same scheme, host and port, and the path of s is that of `other` or below
 * it. */
bool http_server_is_below(const http_server *s, const http_server *other);

/* Where an http:// or https:// URL leads. */
typedef struct http_address {
    char host[320]; /* in lower case, an IPv6 address in brackets; an IPv6 zone follows after '%' */
    char port[8];   /* the scheme's when the URL names none */
    bool loopback;
} http_address;

/* Parses a URL as a server's, with or without credentials. False: it is no such URL, or there is not enough
 * memory. Does not initialise libcurl. */
bool http_address_parse(http_address *a, const char *url);

/* ---- transfers ---- */

/* Starts a transfer, or lets it wait for its turn, or ends it when the gate refuses it. False: not enough
 * memory; the transfer is idle then. */
bool http_begin(http_transfer *t, http *h, http_server *s, const http_request *r);

/* The transfer has become a cleanup request: from now on max_inflight does not count it. */
void http_set_apart(http_transfer *t);

/* Aborts the transfer, or its wait, and frees what it holds. Idempotent; a zeroed transfer is fine.
 */
void http_end(http_transfer *t);

/* Whether the failure of a transfer in HTTP_DONE is transient: the same request can succeed later.
 */
bool http_is_transient(const http_transfer *t);

/* Lets all transfers send and receive, without blocking. */
void http_perform(http *h);

/* The next transfer in HTTP_DONE, each once, in the order in which they ended; NULL = none. */
http_transfer *http_next_finished(http *h);

/* Blocks until a transfer can send or receive, one of the `count` descriptors of `own` is ready,
 * `milliseconds` have passed, or a signal comes. Does not say which descriptor is ready. */
void http_wait(http *h, struct pollfd *own, size_t count, int milliseconds);

/* What http_wait would wait for, for the poll of a host application: fills in at most `count`
 * descriptors, and shortens *milliseconds to the time when http_perform must be called in any case.
 * Returns how many descriptors there are. */
int http_fds(http *h, struct pollfd *fds, int count, int *milliseconds);

#endif
