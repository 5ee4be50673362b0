/* faultd.c - a small HTTP server that misbehaves on request: for what a real Orthanc cannot be made
 * to do.
 *
 *   faultd [MAP...]                                  each MAP is the query string of a /map request
 *   faultd [MAP...] --run COMMAND [ARGUMENT...]
 *
 * Serves 127.0.0.1 on a free port, whose number it prints, until the reader of its standard output
 * or its parent goes away; so popen() and pclose() are its whole life, and nothing is left of it
 * when a test is killed. With --run it prints nothing, runs COMMAND with the server's URL as its
 * first argument, and ends with it and with its status.
 *
 * "Expect: 100-continue" is ignored, as Orthanc does. s= are seconds. Values in the query are
 * percent-encoded. /prefix/ROUTE is ROUTE; requests to a proxy (GET http://...) are taken for our
 * own.
 *
 * Control; these are not counted themselves:
 *   /count?of=PATH     how many requests for PATH have been read
 *   /last?of=PATH      the last of them, as /echo shows it; null if there was none
 *   /requests          {"accepted","connections","requests","open","peak"}: TCP connections taken;
 * those with a counted request; counted requests; connections open now; the most requests that were
 * waiting for their answer at once /log               the last 200 requests, "METHOD path?query"
 *   /reset             zeroes all of these
 *   /release?name=     lets go the answers of /hold?name=
 *   /map?path=PATH&to=ROUTE[&method=M][&times=N]   requests for PATH (a '*' at its end: all that
 * begin so) get ROUTE's behaviour, the first N of them only if N is given; in the order of mapping.
 * Without to: PATH is mapped no more Behaviour, for any method: /ok  /echo  /echo/...   {}; the
 * request itself /status?code=&type=&body=&retry_after=   that answer; type= alone: no Content-Type
 *   /redirect?code=&to=   /auth?user=&password=   /bearer?token=
 *   /drop?after=N      from a connection's Nth request on: taken, and closed without an answer;
 * before: {} /drop-reused       /drop?after=2 /delay?s=&body=  /hang   answers late; never
 *   /barrier?n=&name=  answers when n requests wait there; 503 after 30 s
 *   /hold?name=&body=&send=   answers when /release?name= has been asked for, which also lets all
 * later ones pass; send=N: headers and N bytes of the body go out before. Closed after 60 s
 *   /drip?bytes=&s=    headers, then a byte each s
 *   /short?say=&send=  /reset-body?bytes=   /reset-now   /garbage
 *   /nolength?body=    /chunked?body=   /huge-header?bytes=
 *   /slow-close?s=     no length, the whole body at once, the end of it (the close) after s
 *   /idle?s=           keep-alive, but the connection is closed when the next request does not come
 * within s /gzip?repeat=&text=   an array of that string; /gzip?bytes= a string of that many zeros:
 * compressed if the client accepts that /big?bytes=  /bigjson?n=  /answers?n=    octets; [{},...];
 * study answers in Orthanc's layout
 */
#include "faultd.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LOG_LINES = 200, REMEMBERED_MAX = 1 << 20 };

typedef struct path_record {
    struct path_record *next;
    char *path;
    unsigned long count;
    char *last; /* JSON */
} path_record;

typedef struct mapping {
    struct mapping *next;
    char *path, *method, *to; /* method "" = any */
    unsigned long left;       /* requests; 0 = no end */
} mapping;

/* One per process, behind the lock. */
static struct {
    pthread_mutex_t lock;
    unsigned long accepted, connections, requests, open, waiting, peak, ordinals, logged;
    unsigned long epoch; /* grows with each reset */
    path_record *paths;
    mapping *mappings;
    char *log[LOG_LINES];
} state = { .lock = PTHREAD_MUTEX_INITIALIZER, .epoch = 1 };

static void lock(void)
{
    pthread_mutex_lock(&state.lock);
}

static void unlock(void)
{
    pthread_mutex_unlock(&state.lock);
}

/* Counted as answered before the answer leaves: the client may send its next request at once. */
void no_longer_waiting(exchange *x)
{
    if (!x->waiting)
        return;
    x->waiting = false;
    lock();
    state.waiting--;
    unlock();
}

static void text_add_line(text *t, const char *path, const char *query)
{
    text_puts(t, path);
    if (*query) {
        text_puts(t, "?");
        text_puts(t, query);
    }
}

/* --- control
 * ---------------------------------------------------------------------------------------------------------------
 */

static path_record *path_find(const char *path)
{
    path_record *p = state.paths;
    while (p && strcmp(p->path, path) != 0)
        p = p->next;
    return p;
}

static path_record *path_make(const char *path)
{
    path_record *p = path_find(path);
    if (p)
        return p;
    p = calloc(1, sizeof *p);
    if (!p || !(p->path = strdup(path)))
        abort();
    p->next = state.paths;
    state.paths = p;
    return p;
}

static void do_count(exchange *x)
{
    text of = argument(x, "of", ""), t = { 0 };
    lock();
    const path_record *p = path_find(of.data);
    text_addf(&t, "%lu", p ? p->count : 0);
    unlock();
    text_free(&of);
    answer_json(x, &t);
}

static void do_last(exchange *x)
{
    text of = argument(x, "of", ""), t = { 0 };
    lock();
    const path_record *p = path_find(of.data);
    text_puts(&t, p && p->last ? p->last : "null");
    unlock();
    text_free(&of);
    answer_json(x, &t);
}

static void do_requests(exchange *x)
{
    text t = { 0 };
    lock();
    text_addf(&t,
              "{\"accepted\":%lu,\"connections\":%lu,\"requests\":%lu,\"open\":%lu,\"peak\":%lu}",
              state.accepted, state.connections, state.requests, state.open, state.peak);
    unlock();
    answer_json(x, &t);
}

static void do_log(exchange *x)
{
    text t = { 0 };
    text_puts(&t, "[");
    lock();
    for (unsigned long i = state.logged > LOG_LINES ? state.logged - LOG_LINES : 0;
         i < state.logged; i++) {
        const char *line = state.log[i % LOG_LINES];
        text_json(&t, line, strlen(line));
        if (i + 1 < state.logged)
            text_puts(&t, ",");
    }
    unlock();
    text_puts(&t, "]");
    answer_json(x, &t);
}

static void do_reset(exchange *x)
{
    lock();
    while (state.paths) {
        path_record *p = state.paths;
        state.paths = p->next;
        free(p->path);
        free(p->last);
        free(p);
    }
    state.accepted = state.connections = state.requests = state.logged = 0;
    state.peak = state.waiting;
    state.epoch++;
    unlock();
    do_ok(x);
}

static void mapping_free(mapping *m)
{
    free(m->path);
    free(m->method);
    free(m->to);
    free(m);
}

static char *own(const char *query, const char *name)
{
    text t = parameter(query, name);
    if (!t.data)
        text_puts(&t, "");
    return t.data;
}

static void map(const char *query)
{
    text times = parameter(query, "times");
    mapping **link = &state.mappings, *m = calloc(1, sizeof *m);
    if (!m)
        abort();
    m->path = own(query, "path");
    m->method = own(query, "method");
    m->to = own(query, "to");
    m->left = times.data ? strtoul(times.data, NULL, 10) : 0;
    text_free(&times);
    lock();
    while (*link) {
        mapping *old = *link;
        if (!*m->to && strcmp(old->path, m->path) == 0) {
            *link = old->next;
            mapping_free(old);
        } else
            link = &old->next;
    }
    if (*m->to)
        *link = m;
    else
        mapping_free(m);
    unlock();
}

static void do_map(exchange *x)
{
    map(x->arguments);
    do_ok(x);
}

static bool mapping_fits(const mapping *m, const exchange *x)
{
    const size_t size = strlen(m->path);
    if (*m->method && strcmp(m->method, x->method) != 0)
        return false;
    if (size > 0 && m->path[size - 1] == '*')
        return strncmp(m->path, x->path, size - 1) == 0;
    return strcmp(m->path, x->path) == 0;
}

/* Sets the route: its own path and query, or what they are mapped to. */
static void find_route(exchange *x)
{
    text *t = &x->route;
    char *mark;
    lock();
    mapping **link = &state.mappings;
    while (*link && !mapping_fits(*link, x))
        link = &(*link)->next;
    if (*link) {
        mapping *m = *link;
        text_puts(t, m->to);
        if (m->left > 0 && --m->left == 0) {
            *link = m->next;
            mapping_free(m);
        }
    } else
        text_add_line(t, x->path, x->query);
    unlock();
    mark = strchr(t->data, '?');
    if (mark)
        *mark = '\0';
    x->arguments = mark ? mark + 1 : "";
}

static const struct {
    const char *path;
    behaviour run;
} control_routes[] = {
    { "/count", do_count }, { "/last", do_last },       { "/log", do_log },
    { "/map", do_map },     { "/release", do_release }, { "/requests", do_requests },
    { "/reset", do_reset },
};

static behaviour control_of(const char *path)
{
    for (size_t i = 0; i < sizeof control_routes / sizeof *control_routes; i++)
        if (strcmp(control_routes[i].path, path) == 0)
            return control_routes[i].run;
    return NULL;
}

/* --- connections
 * -----------------------------------------------------------------------------------------------------------
 */

static void count_request(exchange *x)
{
    text line = { 0 }, shown = { 0 };
    if (x->body.size <= REMEMBERED_MAX)
        shown = echo_text(x);
    text_puts(&line, x->method);
    text_puts(&line, " ");
    text_add_line(&line, x->path, x->query);
    lock();
    path_record *p = path_make(x->path);
    p->count++;
    free(p->last);
    p->last = shown.data;
    free(state.log[state.logged % LOG_LINES]);
    state.log[state.logged++ % LOG_LINES] = line.data;
    state.requests++;
    state.connections += x->c->epoch != state.epoch;
    x->c->epoch = state.epoch;
    x->waiting = true;
    if (++state.waiting > state.peak)
        state.peak = state.waiting;
    unlock();
}

static void handle(exchange *x)
{
    behaviour control = control_of(x->path);
    x->c->nth++;
    if (control) {
        x->arguments = x->query;
        control(x);
        return;
    }
    count_request(x);
    find_route(x);
    behaviour_of(x->route.data)(x);
    no_longer_waiting(x);
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
        text_free(&x.route);
    }
    lock();
    state.open--;
    unlock();
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
    lock();
    c->ordinal = ++state.ordinals;
    state.accepted++;
    state.open++;
    unlock();
    if (pthread_create(&thread, NULL, connection_main, c) != 0)
        abort();
    pthread_detach(thread);
}

static int listen_on_loopback(int *port)
{
    const int on = 1;
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t size = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&a, size) != 0 || listen(fd, 1024) != 0 ||
        getsockname(fd, (struct sockaddr *)&a, &size) != 0) {
        perror("faultd");
        exit(1);
    }
    *port = ntohs(a.sin_port);
    return fd;
}

/* words: "--run", COMMAND, ... The URL takes a place in front of the arguments: "--run" makes room
 * for it. */
static pid_t run(char **words, int port)
{
    const pid_t self = getpid(), pid = fork();
    char url[64];
    if (pid != 0)
        return pid;
    snprintf(url, sizeof url, "http://127.0.0.1:%d", port);
    words[0] = words[1];
    words[1] = url;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_DFL);
    if (getppid() == self) /* else it died before the prctl */
        execvp(words[0], words);
    perror(words[0]);
    _exit(127);
}

static bool ended(pid_t pid, int *status)
{
    int how;
    if (pid == 0 || waitpid(pid, &how, WNOHANG) == 0)
        return false;
    *status = WIFEXITED(how) ? WEXITSTATUS(how) : 128 + WTERMSIG(how);
    return true;
}

/* Accepts until the command (0 = none), the reader of the standard output or the parent has gone.
 * Gives the exit status. */
static int serve(int listener, pid_t command, pid_t parent)
{
    struct pollfd p[2] = { { listener, POLLIN, 0 }, { STDOUT_FILENO, 0, 0 } };
    int status = 0;
    /* getppid, not PR_SET_PDEATHSIG: that fires when the parent's thread ends, and the parent may
     * have others */
    while (p[1].revents == 0 && getppid() == parent && !ended(command, &status)) {
        poll(p, 2, 100);
        for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0;)
            take_connection(fd);
    }
    return status;
}

int main(int argc, char **argv)
{
    const pid_t parent = getppid();
    pid_t command = 0;
    struct rlimit files;
    int port, listener, next = 1;
    close_range(3, ~0U,
                0); /* whatever the parent had open: its sockets and pipes must be able to close */
    signal(SIGPIPE, SIG_IGN);
    for (; next < argc && strcmp(argv[next], "--run") != 0; next++)
        map(argv[next]);
    listener = listen_on_loopback(&port);
    if (next + 1 < argc && (command = run(argv + next, port)) < 0) {
        perror("faultd");
        return 1;
    }
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    if (command == 0)
        printf("%d\n", port);
    fflush(stdout);
    _exit(serve(listener, command,
                parent)); /* the threads, and a command that still runs, end with the process */
}
