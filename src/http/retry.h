/* http/retry.h - a failed exchange that may be tried again: no side effects, a failure that may pass,
 * tries left (the server's `retries`), and time left: its timeout bounds all tries and the pauses
 * between them. Pauses double and vary, and are as long as the server asks (Retry-After); what has
 * no timeout is not tried again for one that asks for more than a minute. */
#ifndef HTTP_RETRY_H
#define HTTP_RETRY_H

#include "http/http.h"

/* The tries of one exchange; all zero to begin with. */
typedef struct retry {
    bool pausing;   /* before the next one */
    unsigned tries; /* that have ended */
    double until;   /* when the time of all of them is over, on clock_now's clock; 0 = never */
} retry;

/* The transfer has ended. Gives the seconds after which retry_send is to be called, and logs that;
 * 0: what it says is the outcome. */
double retry_pause(retry *r, const http_transfer *t);

/* Sends its request again. False: out of memory, which the transfer says too. */
bool retry_send(retry *r, http_transfer *t);

#endif
