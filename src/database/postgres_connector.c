#include "database/postgres_connector.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/host_thread.h"
#include "base/thread.h"
#include "base/wakeup.h"

/* The thread notices within microseconds that it was given up, unless it looks a name up, or is inside a TLS
 * handshake on a busy machine. Longer than this is not waited for: see postgres_connector_give_up. */
enum { LOOK_UP_MS = 20, GIVE_UP_MS = 2000 };

enum {
    STACK_BYTES = 1024 * 1024
}; /* the usual size may be more than a limited address space has */

/* "dbname" has the whole address; what is behind it replaces the address's own values, unless it is empty. */
enum { DBNAME, ENCODING, FALLBACK_NAME, USER_TIMEOUT, HOST, HOSTADDR, PORT, KEYWORDS };

static const char *const keywords[KEYWORDS + 1] = { "dbname",
                                                    "client_encoding",
                                                    "fallback_application_name",
                                                    "tcp_user_timeout",
                                                    "host",
                                                    "hostaddr",
                                                    "port",
                                                    NULL };

/* Freed by the one that uses it last: the thread or the loop. */
struct postgres_connector {
    atomic_int users;
    postgres_functions api;
    char *address, *host, *hostaddr, *port;
    host_thread locale; /* libpq's messages are translated otherwise */
    pthread_t thread;
    PGconn *conn;              /* of the thread, until it has ended */
    atomic_bool may_use_tls;   /* the server has accepted a connection */
    atomic_bool awaits_server; /* libpq, which can look a name up, does not work */
    atomic_bool is_given_up, has_ended;
    wakeup ended;    /* the thread tells the loop */
    wakeup given_up; /* the loop tells the thread */
};

static void connector_finish(postgres_connector *c)
{
    if (c->conn)
        c->api.finish(c->conn);
    c->conn = NULL;
}

static void connector_leave(postgres_connector *c)
{
    if (atomic_fetch_sub(&c->users, 1) > 1)
        return;
    connector_finish(c);
    wakeup_close(&c->ended);
    wakeup_close(&c->given_up);
    host_thread_close(&c->locale);
    free(c->address);
    free(c->host);
    free(c->hostaddr);
    free(c->port);
    free(c);
}

/* ---- the thread ---- */

static void connector_ignore_notice(void *user, const PGresult *notice)
{
    (void)user;
    (void)notice;
}

static PGconn *connector_begin(const postgres_connector *c)
{
    const char *const values[KEYWORDS + 1] = {
        [DBNAME] = c->address,    [ENCODING] = "UTF8", [FALLBACK_NAME] = "modalua",
        [USER_TIMEOUT] = "15000", [HOST] = c->host,    [HOSTADDR] = c->hostaddr,
        [PORT] = c->port
    };
    PGconn *conn = c->api.connectStartParams(keywords, values, 1);
    if (conn) {
        c->api.setNoticeReceiver(conn, connector_ignore_notice, NULL);
        c->api.setErrorVerbosity(conn, PQERRORS_VERBOSE); /* with the SQLSTATE */
    }
    return conn;
}

/* Waits for the server, or until the connection is given up. */
static void connector_wait(postgres_connector *c, short events)
{
    struct pollfd fds[] = { { .fd = c->api.socket(c->conn), .events = events },
                            { .fd = c->given_up.reader, .events = POLLIN } };
    atomic_store(&c->awaits_server, true);
    poll(fds, 2, -1);
    atomic_store(&c->awaits_server, false);
}

static void connector_connect(postgres_connector *c)
{
    PostgresPollingStatusType status = PGRES_POLLING_WRITING;
    c->conn = connector_begin(c);
    if (!c->conn || c->api.status(c->conn) == CONNECTION_BAD)
        return;
    while (status == PGRES_POLLING_READING || status == PGRES_POLLING_WRITING) {
        connector_wait(c, status == PGRES_POLLING_READING ? POLLIN : POLLOUT);
        if (atomic_load(&c->is_given_up))
            return;
        atomic_store(&c->may_use_tls, c->api.status(c->conn) != CONNECTION_STARTED);
        status = c->api.connectPoll(c->conn);
    }
}

static void *connector_run(void *user)
{
    postgres_connector *c = user;
    host_thread_enter(&c->locale);
    connector_connect(c);
    if (atomic_load(&c->is_given_up))
        connector_finish(c);
    host_thread_leave(&c->locale);
    atomic_store(&c->has_ended, true);
    wakeup_send(&c->ended);
    connector_leave(c);
    return NULL;
}

/* ---- the loop ---- */

static bool connector_copy(char **to, const char *text)
{
    *to = text ? strdup(text) : NULL;
    return *to || !text;
}

static int connector_fill(postgres_connector *c, const char *address, PGconn *like)
{
    int fault = wakeup_open(&c->ended);
    wakeup_clear(&c->given_up);
    if (fault == 0)
        fault = wakeup_open(&c->given_up);
    if (fault != 0)
        return fault;
    if (!host_thread_open(&c->locale) || !connector_copy(&c->address, address) ||
        !connector_copy(&c->host, like ? c->api.host(like) : NULL) ||
        !connector_copy(&c->hostaddr, like ? c->api.hostaddr(like) : NULL) ||
        !connector_copy(&c->port, like ? c->api.port(like) : NULL))
        return ENOMEM;
    return 0;
}

static int connector_start_thread(postgres_connector *c)
{
    int fault;
    atomic_store(&c->users, 2);
    fault = thread_start(&c->thread, STACK_BYTES, connector_run, c);
    if (fault != 0)
        atomic_store(&c->users, 1);
    return fault;
}

postgres_connector *postgres_connector_start(const postgres_functions *api, const char *address,
                                             PGconn *like)
{
    postgres_connector *c = calloc(1, sizeof *c);
    int fault;
    if (!c)
        return NULL;
    c->api = *api;
    atomic_store(&c->users, 1);
    fault = connector_fill(c, address, like);
    if (fault == 0)
        fault = connector_start_thread(c);
    if (fault == 0)
        return c;
    connector_leave(c);
    errno = fault;
    return NULL;
}

int postgres_connector_fd(const postgres_connector *c)
{
    return c->ended.reader;
}

bool postgres_connector_has_ended(const postgres_connector *c)
{
    return atomic_load(&c->has_ended);
}

bool postgres_connector_looks_up(const postgres_connector *c)
{
    return !atomic_load(&c->awaits_server);
}

/* The end of the process must not meet the end of the thread either, where OpenSSL frees what it has for it. */
static void connector_leave_thread(postgres_connector *c)
{
    if (atomic_load(&c->has_ended))
        pthread_join(c->thread, NULL);
    else
        pthread_detach(c->thread);
}

PGconn *postgres_connector_take(postgres_connector **c, PQnoticeReceiver on_notice, void *user)
{
    PGconn *conn = (*c)->conn;
    if (conn) {
        (*c)->api.setNoticeReceiver(conn, on_notice, user);
        (*c)->api.setnonblocking(conn, 1);
    }
    (*c)->conn = NULL;
    connector_leave_thread(*c);
    connector_leave(*c);
    *c = NULL;
    return conn;
}

/* The process may end after this. Its end frees what OpenSSL has, so the thread must not be inside a TLS handshake
 * then. It is in none while it looks a name up, unless a server that has accepted a connection is not the right
 * one. */
void postgres_connector_give_up(postgres_connector **c)
{
    struct pollfd ended;
    if (!*c)
        return;
    atomic_store(&(*c)->is_given_up, true);
    wakeup_send(&(*c)->given_up);
    ended = (struct pollfd){ .fd = (*c)->ended.reader, .events = POLLIN };
    poll(&ended, 1, atomic_load(&(*c)->may_use_tls) ? GIVE_UP_MS : LOOK_UP_MS);
    connector_leave_thread(*c);
    connector_leave(*c);
    *c = NULL;
}
