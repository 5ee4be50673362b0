#include "http/retry.h"

#include <stdint.h>

#include "base/clock.h"
#include "http/log.h"

/* Seconds. */
#define PAUSE_FIRST     0.2
#define PAUSE_MAX       10.0
#define RETRY_AFTER_MAX 60.0  /* that a server may ask for when the request has no timeout */
#define TIMEOUT_MIN     0.001 /* 0 would mean no timeout */
#define TRY_LEAST \
    0.1          /* a shorter try would only time out, and hide why the tries before it failed */
#define LATE 0.5 /* beyond its timeout: this process did not run meanwhile */

/* Jitter, from half to one and a half of the pause: clients that failed at the same time do not all
 * retry at the same time. */
static double add_jitter(double seconds)
{
    uint32_t nanoseconds = (uint32_t)(uint64_t)(clock_now() * 1e9);
    return seconds * (0.5 + (double)(nanoseconds * 2654435761u >> 8) / (1 << 24));
}

static double next_pause(const retry *r, const http_transfer *t)
{
    double pause = PAUSE_FIRST;
    for (unsigned i = 1; i < r->tries && pause < PAUSE_MAX; i++)
        pause *= 2;
    pause = add_jitter(pause < PAUSE_MAX ? pause : PAUSE_MAX);
    return pause < (double)t->retry_after ? (double)t->retry_after : pause;
}

/* Whether the transfer timed out because this process was stopped, or got no processor: then the server
 * may have answered in time. */
static bool was_stopped(const http_transfer *t)
{
    return t->fault == HTTP_CURL && t->curl_code == CURLE_OPERATION_TIMEDOUT &&
           t->request.timeout > 0 && t->seconds > t->request.timeout + LATE;
}

/* Whether a stream of the host has got bytes, which it must not get twice. */
static bool has_given(const http_transfer *t)
{
    const http_file *sink = t->request.sink;
    return sink && sink->stream && sink->done > 0;
}

double retry_pause(retry *r, const http_transfer *t)
{
    double pause, timeout = t->request.timeout, now = clock_now();
    unsigned all = http_server_retries(t->server) + 1;
    if (r->tries++ == 0)
        r->until = timeout > 0 ? now - t->seconds + timeout : 0;
    if (was_stopped(t))
        r->until = now + timeout;
    if (t->request.side_effects || has_given(t) || r->tries >= all || !http_is_transient(t))
        return 0;
    pause = next_pause(r, t);
    if (r->until > 0 ? now + pause + TRY_LEAST > r->until : pause > RETRY_AFTER_MAX)
        return 0;
    http_log_retry(t, pause, all);
    r->pausing = true;
    return pause;
}

bool retry_send(retry *r, http_transfer *t)
{
    http_request request = t->request;
    http_server *s = t->server;
    http *h = t->h;
    double left = r->until - clock_now();
    r->pausing = false;
    request.tried++;
    if (r->until > 0)
        request.timeout = left > TIMEOUT_MIN ? left : TIMEOUT_MIN;
    http_end(t);
    if (http_begin(t, h, s, &request))
        return true;
    t->fault = HTTP_NO_MEMORY;
    return false;
}
