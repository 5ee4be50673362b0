/* faultd.h - what the parts of faultd share: faultd.c (connections, control), faultd_http.c (texts,
 * requests, answers) and faultd_routes.c (the behaviours). faultd.c says what the program does.
 */
#ifndef FAULTD_H
#define FAULTD_H

#include <stdbool.h>
#include <stddef.h>

#define JSON_TYPE "application/json; charset=utf-8"

enum { HEADERS_MAX = 100, PIECE = 1 << 16 };

/* Bytes that grow, with a NUL behind them; all zero is an empty one whose data is NULL. */
typedef struct text {
    char *data;
    size_t size, room;
} text;

typedef struct conn {
    int fd;
    unsigned long ordinal; /* among all connections */
    unsigned long nth;     /* request on this one */
    unsigned long epoch;   /* the server's at its last counted request */
    double idle;           /* seconds that it may now be silent; 0 = any */
    bool last;             /* closed after this exchange */
    text in;               /* received and not yet used */
} conn;

typedef struct exchange {
    conn *c;
    text head, body;
    char *method, *path, *query; /* in head */
    char *names[HEADERS_MAX], *values[HEADERS_MAX];
    size_t headers;
    text route;            /* its path and query, or what they are mapped to; cut at the '?' */
    const char *arguments; /* the route's query */
    bool waiting;          /* for its answer, and counted as such */
} exchange;

typedef void (*behaviour)(exchange *x);

/* faultd.c */
void no_longer_waiting(exchange *x);

/* faultd_http.c: texts */
void text_add(text *t, const void *data, size_t size);
void text_puts(text *t, const char *string);
__attribute__((format(printf, 2, 3))) void text_addf(text *t, const char *format,
                                                     ...); /* at most 1,000 bytes */
void text_json(text *t, const char *data,
               size_t size);          /* a JSON string; null for bytes that are not UTF-8 */
void text_drop(text *t, size_t size); /* from its beginning */
void text_free(text *t);

/* A parameter of a query string, decoded; its data is NULL when it is not there. */
text parameter(const char *query, const char *name);

/* The same of the route; with a default. */
text argument(const exchange *x, const char *name, const char *otherwise);
double number(const exchange *x, const char *name, double otherwise); /* not below 0 */

/* The value of a request header (name in lower case); "" when it is not there. */
const char *header(const exchange *x, const char *name);

/* The next request of the connection; false when there will be none. */
bool read_request(exchange *x);

/* faultd_http.c: sending. A client that has gone makes the exchange the connection's last. */
void send_all(conn *c, const char *data, size_t size);
void send_run(conn *c, char byte, unsigned long long count);

/* `more` are header lines, each with its CRLF; `length` below 0: none is said; with_body may be
 * NULL. */
void send_head(exchange *x, int status, const char *more, long long length, const text *with_body);

/* The body is freed. */
void answer(exchange *x, int status, const char *more, text *body);
void answer_json(exchange *x, text *body);
void answer_empty(exchange *x, int status, const char *more);
void do_ok(exchange *x);

/* The request as JSON. */
text echo_text(const exchange *x);

/* faultd_routes.c */
void do_release(exchange *x);
behaviour behaviour_of(const char *path);

#endif
