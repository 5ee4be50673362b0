/* mutate.c - an HTTP proxy before a real Orthanc, which changes one answer in one way.
 *
 *   mutate PORT
 *
 * It listens on a free port of 127.0.0.1, prints the port number, and passes each request on to
 * 127.0.0.1:PORT. It ends when the reader of its standard output closes it, or when its parent process
 * ends. Everything passes unchanged, but the answers that the control route /mutate/set has chosen.
 *
 * The ROUTE of a request is its path, in which each identifier (of a job, of a resource, a UID, a
 * number) is a star, and the names of its query: as in /changes?since&limit. Control routes:
 *
 *   /mutate/set?method=M&route=ROUTE&nth=N&containing=TEXT&change=CHANGE[&place=PATH]
 *                      from now on, the N-th answer to M ROUTE is changed (0: each one), if it contains
 *                      TEXT. With a place, CHANGE is a change of this place in its JSON, else of the
 *                      whole answer. Forgets the log
 *
 *   /mutate/record     from now on nothing is changed, and the log has the places of each answer.
 *                      Forgets the log
 *
 *   /mutate/log        {"changed","exchanges"}: the number of changed answers, and a list of
 *                      {"method","route","status","end","places"} in the order of the answers. `end`
 *                      is true for the status of a job that has ended
 *
 *   /mutate/changes    {"place","answer"}: the names of all changes
 */
#include "mutate.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "listener.h"

#define JOB_ENDED "\"CompletionTime\""

typedef struct chosen {
    text method, route, containing, change, place;
    unsigned long nth, seen; /* number of answers that fitted so far */
} chosen;

/* One per process; all but `port` is protected by `lock`. */
static struct {
    pthread_mutex_t lock;
    int port;
    chosen chosen;
    bool records;
    unsigned long changed, logged;
    text log;
} state = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* ---- the route of a request ---- */

/* Whether a part of a path is an identifier: nothing but digits and dots, or hexadecimal digits and
 * hyphens in the length of those that Orthanc makes. */
static bool is_identifier(const char *part, size_t size)
{
    size_t digits = 0, hexadecimal = 0, dots = 0, hyphens = 0;
    for (size_t i = 0; i < size; i++) {
        digits += isdigit((unsigned char)part[i]) != 0;
        hexadecimal += isxdigit((unsigned char)part[i]) != 0;
        dots += part[i] == '.';
        hyphens += part[i] == '-';
    }
    return (digits > 0 && digits + dots == size) ||
           (hexadecimal + hyphens == size && (size == 36 || size == 44));
}

static text route_of(const exchange *x)
{
    text t = { 0 };
    text_puts(&t, "");
    for (const char *p = x->path; *p;) {
        const size_t size = strcspn(p + 1, "/");
        text_puts(&t, "/");
        if (is_identifier(p + 1, size))
            text_puts(&t, "*");
        else
            text_add(&t, p + 1, size);
        p += 1 + size;
    }
    for (const char *p = x->query, *mark = "?"; *p; mark = "&") {
        text_puts(&t, mark);
        text_add(&t, p, strcspn(p, "=&"));
        p += strcspn(p, "&");
        p += *p == '&';
    }
    return t;
}

/* ---- the control routes ---- */

static void take_parameter(text *t, const char *query, const char *name)
{
    text_free(t);
    *t = parameter(query, name);
    if (!t->data)
        text_puts(t, "");
}

/* The caller holds the lock. */
static void forget_log(void)
{
    text_free(&state.log);
    text_puts(&state.log, "");
    state.logged = state.changed = 0;
    state.chosen.seen = 0;
}

static void do_set(exchange *x)
{
    chosen *c = &state.chosen;
    text nth = parameter(x->query, "nth");
    pthread_mutex_lock(&state.lock);
    take_parameter(&c->method, x->query, "method");
    take_parameter(&c->route, x->query, "route");
    take_parameter(&c->containing, x->query, "containing");
    take_parameter(&c->change, x->query, "change");
    text_free(&c->place);
    c->place = parameter(x->query, "place");
    c->nth = nth.data ? strtoul(nth.data, NULL, 10) : 0;
    state.records = false;
    forget_log();
    pthread_mutex_unlock(&state.lock);
    text_free(&nth);
    do_ok(x);
}

static void do_record(exchange *x)
{
    pthread_mutex_lock(&state.lock);
    text_free(&state.chosen.change);
    state.records = true;
    forget_log();
    pthread_mutex_unlock(&state.lock);
    do_ok(x);
}

static void do_log(exchange *x)
{
    text t = { 0 };
    pthread_mutex_lock(&state.lock);
    text_addf(&t, "{\"changed\":%lu,\"exchanges\":[", state.changed);
    text_add(&t, state.log.data, state.log.size);
    pthread_mutex_unlock(&state.lock);
    text_puts(&t, "]}");
    answer_json(x, &t);
}

static void add_name(void *context, const char *name)
{
    text *t = context;
    text_puts(t, t->data[t->size - 1] == '[' ? "\"" : ",\"");
    text_puts(t, name);
    text_puts(t, "\"");
}

static void do_changes(exchange *x)
{
    text t = { 0 };
    text_puts(&t, "{\"place\":[");
    places_each_change(add_name, &t);
    text_puts(&t, "],\"answer\":[");
    answers_each_change(add_name, &t);
    text_puts(&t, "]}");
    answer_json(x, &t);
}

static const struct {
    const char *path;
    void (*run)(exchange *x);
} control_routes[] = {
    { "/mutate/set", do_set },
    { "/mutate/record", do_record },
    { "/mutate/log", do_log },
    { "/mutate/changes", do_changes },
};

/* ---- asking the server ---- */

/* Headers that a proxy does not pass on. */
static bool is_own(const char *name)
{
    static const char *const names[] = { "connection", "keep-alive",        "content-length",
                                         "host",       "transfer-encoding", "accept-encoding",
                                         "expect" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcasecmp(name, names[i]) == 0)
            return true;
    return false;
}

static void send_request(conn *to, const exchange *x)
{
    text t = { 0 };
    text_puts(&t, x->method);
    text_puts(&t, " ");
    text_puts(&t, x->path);
    text_puts(&t, *x->query ? "?" : "");
    text_puts(&t, x->query);
    text_puts(&t, " HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n");
    for (size_t i = 0; i < x->headers; i++)
        if (!is_own(x->names[i])) {
            text_puts(&t, x->names[i]);
            text_puts(&t, ": ");
            text_puts(&t, x->values[i]);
            text_puts(&t, "\r\n");
        }
    text_addf(&t, "Content-Length: %zu\r\n\r\n", x->body.size);
    text_add(&t, x->body.data, x->body.size);
    send_all(to, t.data, t.size);
    text_free(&t);
}

/* Takes the lines of a head apart. Returns the Content-Length, or -1. */
static long long take_head(reply *r, char *head)
{
    long long length = -1;
    char *line = cut(&head, "\r\n");
    r->status = atoi(line + strcspn(line, " "));
    while (*head) {
        char *value = cut(&head, "\r\n"), *name = cut(&value, ":");
        value += strspn(value, " \t");
        if (strcasecmp(name, "content-length") == 0)
            length = atoll(value);
        else if (strcasecmp(name, "content-type") == 0)
            text_puts(&r->type, value);
        else if (!is_own(name)) {
            text_puts(&r->more, name);
            text_puts(&r->more, ": ");
            text_puts(&r->more, value);
            text_puts(&r->more, "\r\n");
        }
    }
    return length;
}

static bool read_reply(conn *from, reply *r)
{
    text head = { 0 };
    bool whole = take_until(from, "\r\n\r\n", &head);
    if (whole) {
        const long long length = take_head(r, head.data);
        if (length >= 0)
            whole = take_bytes(from, (unsigned long long)length, &r->body);
        else {
            while (receive(from)) /* the end of the connection ends the body */
                continue;
            text_add(&r->body, from->in.data, from->in.size);
        }
    }
    text_free(&head);
    return whole;
}

/* Passes the request on and reads the answer. False when there is none. */
static bool ask_server(const exchange *x, reply *r)
{
    const int on = 1;
    struct sockaddr_in a = { .sin_family = AF_INET,
                             .sin_port = htons((uint16_t)state.port),
                             .sin_addr = { htonl(INADDR_LOOPBACK) } };
    conn server = { .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
    bool whole = false;
    text_puts(&r->type, "");
    text_puts(&r->more, "");
    text_puts(&r->body, "");
    setsockopt(server.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(server.fd, (struct sockaddr *)&a, sizeof a) == 0) {
        send_request(&server, x);
        whole = read_reply(&server, r);
    }
    close(server.fd);
    text_free(&server.in);
    return whole;
}

/* ---- changing the answer ---- */

static bool contains(const text *body, const text *part)
{
    return part->size == 0 || memmem(body->data, body->size, part->data, part->size) != NULL;
}

/* Whether the answer is the chosen one. The caller holds the lock. */
static bool is_chosen(const exchange *x, const text *route, const reply *r)
{
    chosen *c = &state.chosen;
    return c->change.data && strcmp(c->method.data, x->method) == 0 &&
           strcmp(c->route.data, route->data) == 0 && contains(&r->body, &c->containing) &&
           (++c->seen == c->nth || c->nth == 0);
}

/* The caller holds the lock. */
static void log_exchange(const exchange *x, const text *route, const reply *r)
{
    text *t = &state.log;
    text_puts(t, state.logged++ ? "," : "");
    text_puts(t, "{\"method\":");
    text_json(t, x->method, strlen(x->method));
    text_puts(t, ",\"route\":");
    text_json(t, route->data, route->size);
    text_addf(t, ",\"status\":%d,\"end\":%s", r->status,
              memmem(r->body.data, r->body.size, JOB_ENDED, strlen(JOB_ENDED)) ? "true" : "false");
    if (state.records) {
        text_puts(t, ",\"places\":");
        if (!places_add(t, &r->body))
            text_puts(t, "[]");
    }
    text_puts(t, "}");
}

static void change_reply(const exchange *x, reply *r)
{
    const chosen *c = &state.chosen;
    text route = route_of(x);
    pthread_mutex_lock(&state.lock);
    log_exchange(x, &route, r);
    if (is_chosen(x, &route, r))
        state.changed += c->place.data ? places_change(&r->body, c->place.data, c->change.data)
                                       : answers_change(r, c->change.data);
    pthread_mutex_unlock(&state.lock);
    text_free(&route);
}

/* ---- sending it ---- */

static void add_chunk(text *t, const char *data, size_t size)
{
    text_addf(t, "%zx\r\n", size);
    text_add(t, data, size);
    text_puts(t, "\r\n");
}

static void add_body(text *t, const reply *r)
{
    const size_t half = r->body.size / 2;
    switch (r->framing) {
    case CHUNKED:
    case CHUNKS_CUT:
        if (half > 0)
            add_chunk(t, r->body.data, half);
        if (r->framing == CHUNKED && r->body.size > half)
            add_chunk(t, r->body.data + half, r->body.size - half);
        text_puts(t, r->framing == CHUNKED ? "0\r\n\r\n" : "");
        break;
    case CHUNKS_WRONG:
        add_chunk(t, r->body.data, half + 1);
        text_puts(t, "no size\r\n");
        break;
    case HALF_WITHOUT_LENGTH:
    case RESET: text_add(t, r->body.data, half); break;
    case TOO_LONG:
        text_add(t, r->body.data, r->body.size);
        text_puts(t, " and more");
        break;
    default: text_add(t, r->body.data, r->body.size);
    }
}

static void add_framing_headers(text *t, const reply *r)
{
    if (r->framing == CHUNKED || r->framing == CHUNKS_CUT || r->framing == CHUNKS_WRONG)
        text_puts(t, "Transfer-Encoding: chunked\r\n");
    else if (r->framing == LENGTH_IS_WORD)
        text_puts(t, "Content-Length: many\r\n");
    else if (r->framing != WITHOUT_LENGTH && r->framing != HALF_WITHOUT_LENGTH)
        text_addf(t, "Content-Length: %zu\r\n",
                  r->body.size + (r->framing == TOO_SHORT || r->framing == RESET ? 100 : 0));
}

static void send_reply(conn *c, const reply *r)
{
    const bool bodiless = r->status == 204 || r->status == 304;
    text t = { 0 };
    text_puts(&t, "");
    c->last = c->last || (r->framing != WITH_LENGTH && r->framing != CHUNKED);
    if (r->framing == NOT_HTTP)
        text_puts(&t, "SSH-2.0-OpenSSH_9.2\r\n");
    else if (r->framing != NOTHING) {
        text_addf(&t, "HTTP/1.1 %d %s\r\nConnection: %s\r\n", r->status,
                  r->status < 400 ? "OK" : "Failure", c->last ? "close" : "keep-alive");
        if (r->type.size > 0) {
            text_puts(&t, "Content-Type: ");
            text_puts(&t, r->type.data);
            text_puts(&t, "\r\n");
        }
        text_puts(&t, r->more.data);
        if (!bodiless)
            add_framing_headers(&t, r);
        text_puts(&t, "\r\n");
        if (r->framing == HALF_OF_HEAD)
            t.size /= 2;
        else if (!bodiless)
            add_body(&t, r);
    }
    send_all(c, t.data, t.size);
    text_free(&t);
}

static void close_by_reset(const conn *c)
{
    const struct linger at_once = { .l_onoff = 1, .l_linger = 0 };
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

static void pass(exchange *x)
{
    reply r = { 0 };
    if (ask_server(x, &r)) {
        change_reply(x, &r);
        send_reply(x->c, &r);
        if (r.framing == RESET)
            close_by_reset(x->c);
    } else
        x->c->last = true;
    text_free(&r.type);
    text_free(&r.more);
    text_free(&r.body);
}

/* ---- connections ---- */

static void handle(exchange *x)
{
    for (size_t i = 0; i < sizeof control_routes / sizeof *control_routes; i++)
        if (strcmp(control_routes[i].path, x->path) == 0) {
            control_routes[i].run(x);
            return;
        }
    pass(x);
}

static void *connection_main(void *connection)
{
    conn *c = connection;
    while (!c->last) {
        exchange x = { .c = c };
        if (read_request(&x))
            handle(&x);
        else
            c->last = true;
        text_free(&x.head);
        text_free(&x.body);
    }
    close(c->fd);
    text_free(&c->in);
    free(c);
    return NULL;
}

static void take_connection(int fd)
{
    const int on = 1;
    pthread_t thread;
    conn *c = calloc(1, sizeof *c);
    if (!c)
        abort();
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    c->fd = fd;
    if (pthread_create(&thread, NULL, connection_main, c) != 0)
        abort();
    pthread_detach(thread);
}

int main(int argc, char **argv)
{
    const pid_t parent = getppid();
    int port, listener;
    listener_prepare();
    if (argc != 2 || (state.port = atoi(argv[1])) < 1 || state.port > 65535) {
        fprintf(stderr, "usage: mutate PORT\n");
        return 2;
    }
    text_puts(&state.log, "");
    listener = listener_open(&port);
    printf("%d\n", port);
    fflush(stdout);
    while (listener_accept(listener, parent, take_connection))
        ;
    _exit(0); /* the threads end with the process */
}
