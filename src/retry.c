#include "retry.h"

#include <stdint.h>
#include <stdio.h>

#include "clock.h"

#define PAUSE_FIRST 0.2
#define PAUSE_LAST  10.0

/* Between half and three halves: clients that failed at one moment do not come back at one. */
static double vary(double seconds)
{
    uint32_t nanoseconds = (uint32_t)(uint64_t)(clock_now() * 1e9);
    return seconds * (0.5 + (double)(nanoseconds * 2654435761u >> 8) / (1 << 24));
}

static double pause_before(const op *o)
{
    double pause = PAUSE_FIRST;
    for (unsigned i = 1; i < o->tries && pause < PAUSE_LAST; i++)
        pause *= 2;
    pause = vary(pause < PAUSE_LAST ? pause : PAUSE_LAST);
    return pause < (double)o->transfer.retry_after ? (double)o->transfer.retry_after : pause;
}

static void log_retry(const op *o, double pause, unsigned all)
{
    const http_transfer *t = &o->transfer;
    char line[512];
    if (!t->h->log)
        return;
    snprintf(line, sizeof line, "%s %s%s again in %.2f s (try %u of %u)", t->request.method,
             http_server_url(t->server), t->request.path, pause, o->tries + 1, all);
    t->h->log(t->h->log_user, line);
}

bool retry_later(op *o)
{
    const http_transfer *t = &o->transfer;
    double pause, timeout = t->request.timeout, now = clock_now();
    unsigned all = http_server_retries(t->server) + 1;
    if (o->tries++ == 0)
        o->retry_until = timeout > 0 ? now - t->seconds + timeout : 0;
    if (t->request.side_effects || o->farewell || o->tries >= all || !http_may_pass(t))
        return false;
    pause = pause_before(o);
    if ((o->retry_until > 0 && now + pause >= o->retry_until) ||
        !loop_set_timer(o->lp, o, now + pause))
        return false;
    log_retry(o, pause, all);
    o->retrying = true;
    return true;
}

bool retry_now(op *o)
{
    http_transfer *t = &o->transfer;
    http_request r = t->request;
    http_server *s = t->server;
    o->retrying = false;
    if (o->retry_until > 0)
        r.timeout = o->retry_until - clock_now();
    if (o->retry_until > 0 && r.timeout < 0.001)
        r.timeout = 0.001;
    http_end(t);
    if (http_begin(t, &o->lp->http, s, &r)) {
        t->owner = o;
        return true;
    }
    t->fault = HTTP_NO_MEMORY;
    return false;
}
