#include "database/postgres_cancel.h"

#include <poll.h>
#include <stdio.h>

#include "base/clock.h"
#include "database/postgres_connector.h"
#include "engine/cleanup.h"
#include "engine/descriptor.h"
#include "engine/timer.h"

typedef struct cancel_op {
    op op;
    postgres_functions api;
    postgres_connector *connector; /* until the connection is made */
    PGconn *conn;
    char pid[16];
    double due;
} cancel_op;

static void cancel_on_release(op *o)
{
    cancel_op *c = (cancel_op *)o;
    postgres_connector_give_up(&c->connector);
    if (c->conn)
        c->api.finish(c->conn);
    c->conn = NULL;
}

static void cancel_on_notice(void *user, const PGresult *notice)
{
    (void)user;
    (void)notice;
}

static bool cancel_wait(cancel_op *c, int fd, int events)
{
    c->op.ready = false;
    return clock_now() < c->due && descriptor_watch(&c->op, fd, (short)events) &&
           timer_set(&c->op, c->due);
}

static bool cancel_send(cancel_op *c)
{
    const char *const values[] = { c->pid };
    return c->api.sendQueryParams(c->conn, "SELECT pg_cancel_backend($1)", 1, NULL, values, NULL,
                                  NULL, 0) == 1;
}

/* Sends and receives. Returns whether it has to wait for more. */
static bool cancel_exchange(cancel_op *c)
{
    int unsent = c->api.consumeInput(c->conn) ? c->api.flush(c->conn) : -1;
    if (unsent < 0 || !c->api.isBusy(c->conn))
        return false;
    return cancel_wait(c, c->api.socket(c->conn), POLLIN | (unsent > 0 ? POLLOUT : 0));
}

/* The answer does not matter. */
static bool cancel_step(op *o)
{
    cancel_op *c = (cancel_op *)o;
    if (!c->connector)
        return cancel_exchange(c);
    if (!postgres_connector_has_ended(c->connector))
        return cancel_wait(c, postgres_connector_fd(c->connector), POLLIN);
    c->conn = postgres_connector_take(&c->connector, cancel_on_notice, NULL);
    return c->conn && c->api.status(c->conn) == CONNECTION_OK && cancel_send(c) &&
           cancel_exchange(c);
}

void postgres_cancel(lua_State *L, loop *lp, const postgres_functions *api, const char *address,
                     PGconn *conn)
{
    cancel_op *c = (cancel_op *)op_new(L, lp, sizeof *c, 0, NULL, OP_CLEANUP);
    c->api = *api;
    c->op.on_release = cancel_on_release;
    c->due = clock_now() + CANCEL_SECONDS;
    snprintf(c->pid, sizeof c->pid, "%d", api->backendPID(conn));
    c->connector = postgres_connector_start(api, address, conn);
    if (c->connector)
        cleanup_start_steps(L, &c->op, cancel_step);
    else
        lua_pop(L, 1);
}
