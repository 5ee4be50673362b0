#include "database/postgres_cancel.h"

#include <poll.h>
#include <stdio.h>

#include "base/clock.h"
#include "database/postgres_conn.h"
#include "engine/cleanup.h"
#include "engine/descriptor.h"
#include "engine/timer.h"

typedef struct cancel_op {
    op op;
    postgres_functions api;
    PGconn *conn;
    char pid[16];
    double due;
    bool is_started, is_sent;
} cancel_op;

static void cancel_on_release(op *o)
{
    cancel_op *c = (cancel_op *)o;
    postgres_conn_finish(&c->api, &c->conn);
}

static void cancel_on_notice(void *user, const PGresult *notice)
{
    (void)user;
    (void)notice;
}

static bool cancel_wait(cancel_op *c, int events)
{
    c->op.ready = false;
    return clock_now() < c->due &&
           descriptor_watch(&c->op, c->api.socket(c->conn), (short)events) &&
           timer_set(&c->op, c->due);
}

static bool cancel_send(cancel_op *c)
{
    const char *const values[] = { c->pid };
    c->is_sent = true;
    return c->api.sendQueryParams(c->conn, "SELECT pg_cancel_backend($1)", 1, NULL, values, NULL,
                                  NULL, 0) == 1;
}

/* Sends and receives. Returns whether it has to wait for more. */
static bool cancel_exchange(cancel_op *c)
{
    int unsent = c->api.consumeInput(c->conn) ? c->api.flush(c->conn) : -1;
    if (unsent < 0 || !c->api.isBusy(c->conn))
        return false;
    return cancel_wait(c, POLLIN | (unsent > 0 ? POLLOUT : 0));
}

/* The answer does not matter. */
static bool cancel_step(op *o)
{
    cancel_op *c = (cancel_op *)o;
    short events;
    if (!c->is_started) {
        c->is_started = true;
        return c->api.status(c->conn) != CONNECTION_BAD && cancel_wait(c, POLLOUT);
    }
    if (!c->is_sent) {
        events = postgres_conn_poll(&c->api, c->conn);
        if (events != 0)
            return events > 0 && cancel_wait(c, events);
        if (!cancel_send(c))
            return false;
    }
    return cancel_exchange(c);
}

void postgres_cancel(lua_State *L, loop *lp, const postgres_functions *api, const char *address,
                     int pid)
{
    cancel_op *c = (cancel_op *)op_new(L, lp, sizeof *c, 0, NULL, OP_CLEANUP);
    c->api = *api;
    c->op.on_release = cancel_on_release;
    c->due = clock_now() + CANCEL_SECONDS;
    snprintf(c->pid, sizeof c->pid, "%d", pid);
    c->conn = postgres_conn_start(api, address, cancel_on_notice, NULL);
    if (c->conn)
        cleanup_start_steps(L, &c->op, cancel_step);
    else
        lua_pop(L, 1);
}
