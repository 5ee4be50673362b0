/* http/retry.h - retries of a request. A request is retried when it has no side effects, its
 * failure is transient, and retries and time are left. The number of retries is the server's
 * option. The timeout of the request covers all tries and the pauses between them; it starts again
 * when this process was stopped for longer than that. Pauses double,
 * vary at random, and are at least as long as the server asks (Retry-After). A request without a
 * timeout is not retried when the server asks for more than a minute. */
#ifndef HTTP_RETRY_H
#define HTTP_RETRY_H

#include "http/http.h"

/* The tries of one request; all zero at first. */
typedef struct retry {
    bool pausing;   /* the pause before the next try is running */
    unsigned tries; /* that have ended */
    double until;   /* when the timeout of the request is over, on clock_now's clock; 0 = never */
} retry;

/* The transfer has ended. Returns the pause in seconds after which retry_send must be called, and
 * logs it; 0: the request is not retried. */
double retry_pause(retry *r, const http_transfer *t);

/* Sends the request again. False: not enough memory; t->fault says so too. */
bool retry_send(retry *r, http_transfer *t);

#endif
