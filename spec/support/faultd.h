/* faultd.h - the types and functions that the three parts of faultd share: faultd.c (connections,
 * control), faultd_http.c (texts, requests, answers; the program mutate uses it too) and
 * faultd_routes.c (the behaviours). The comment at the top of faultd.c describes the program.
 */
#ifndef FAULTD_H
#define FAULTD_H

#include <stdbool.h>
#include <stddef.h>

#define JSON_TYPE "application/json; charset=utf-8"

enum { HEADERS_MAX = 100, PIECE = 1 << 16 };

/* A growing byte buffer with a NUL after the bytes. A struct of zeros is an empty buffer; its data
 * is NULL. */
typedef struct text {
    char *data;
    size_t size, room;
} text;

typedef struct conn {
    int fd;
    unsigned long ordinal; /* its number among all connections, from 1 */
    unsigned long nth;     /* number of requests on this connection so far */
    unsigned long epoch;   /* state.epoch at its last counted request */
    double idle;           /* seconds to wait for the next request; 0: no limit */
    bool last;             /* close the connection after this exchange */
    text in;               /* received bytes that are not used yet */
} conn;

typedef struct exchange exchange;

struct exchange {
    conn *c;
    void (*before_answer)(exchange *x); /* called before anything is sent; may be NULL */
    text head, body;
    text raw;                    /* the head as it came; parse_head changes the other one */
    char *method, *path, *query; /* point into head */
    char *names[HEADERS_MAX], *values[HEADERS_MAX];
    size_t headers;
    text route;            /* the path and query, after mapping; a NUL replaces the '?' */
    const char *arguments; /* the query of the route */
    bool waiting;          /* counted in state.waiting: not answered yet */
};

typedef void (*behaviour)(exchange *x);

/* faultd.c */
void no_longer_waiting(exchange *x);

/* faultd_http.c: texts */
void text_add(text *t, const void *data, size_t size);
void text_puts(text *t, const char *string);
__attribute__((format(printf, 2, 3))) void text_addf(text *t, const char *format,
                                                     ...); /* at most 1,000 bytes */

/* Adds a JSON string, or null if the bytes are not UTF-8. */
void text_json(text *t, const char *data, size_t size);
void text_drop(text *t, size_t size); /* removes bytes from the beginning */
void text_free(text *t);

/* A decoded parameter of a query string; its data is NULL if the parameter is missing. */
text parameter(const char *query, const char *name);

/* A decoded parameter of the route; `otherwise` if it is missing. */
text argument(const exchange *x, const char *name, const char *otherwise);
double number(const exchange *x, const char *name, double otherwise); /* never negative */

/* The value of a request header (name in lower case); "" if it is missing. */
const char *header(const exchange *x, const char *name);

/* Reads from the connection up to `mark`. Adds the bytes before the mark to t, and drops the mark.
 * False: the connection ended before. */
bool take_until(conn *c, const char *mark, text *t);
bool take_bytes(conn *c, unsigned long long size, text *t);
bool take_chunks(conn *c, text *body);

/* Receives more bytes into c->in. False: there are no more. */
bool receive(conn *c);

/* Ends the part before `mark` (or the whole text, when there is no mark) with a NUL, returns it, and
 * lets *rest point behind the mark. */
char *cut(char **rest, const char *mark);

/* Reads the next request of the connection. False if the connection has no further request. */
bool read_request(exchange *x);

/* faultd_http.c: sending. If the client has closed the connection, these functions set c->last. */
void send_all(conn *c, const char *data, size_t size);
void send_run(conn *c, char byte, unsigned long long count);

/* Sends the status line and headers. `more` are further header lines, each with its CRLF. If
 * `length` is negative, there is no Content-Length. `with_body` (may be NULL) is sent with them. */
void send_head(exchange *x, int status, const char *more, long long length, const text *with_body);

/* Sends an answer and frees the body. */
void answer(exchange *x, int status, const char *more, text *body);
void answer_json(exchange *x, text *body);
void answer_empty(exchange *x, int status, const char *more);
void do_ok(exchange *x);

/* Describes the request as JSON, as the route /echo shows it. */
text echo_text(const exchange *x);

/* faultd_routes.c */
void do_release(exchange *x);
behaviour behaviour_of(const char *path);

#endif
