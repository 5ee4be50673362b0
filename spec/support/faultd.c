/* faultd.c - a small HTTP server that misbehaves on request, in ways that a real Orthanc never does.
 *
 *   faultd [MAP...]                                  each MAP is the query string of a /map request
 *   faultd [MAP...] --run COMMAND [ARGUMENT...]
 *
 * It listens on a free port of 127.0.0.1 and prints the port number. It ends when the reader of its
 * standard output closes it, or when its parent process ends: so popen() starts it and pclose() ends
 * it, and it does not remain when a test is killed. With --run it prints nothing, runs COMMAND with
 * the server's URL as first argument, ends when COMMAND ends, and exits with its status.
 *
 * Like Orthanc, it ignores "Expect: 100-continue". s= is a time in seconds. Values in a query are
 * percent-encoded. /prefix/ROUTE is the same as ROUTE. It also plays a proxy: it answers a request
 * such as GET http://... itself.
 *
 * Control routes, which are not counted:
 *
 *   /count?of=PATH     the number of requests for PATH so far
 *
 *   /last?of=PATH      the last request for PATH, as /echo shows it; null if there was none
 *
 *   /requests          {"accepted","connections","requests","open","peak"}: accepted TCP connections;
 *                      connections with at least one counted request; counted requests; connections
 *                      open now; the largest number of requests that waited for their answers at the
 *                      same time
 *
 *   /log               the last 200 requests, each as "METHOD path?query"
 *
 *   /heads             the last 200 requests, each as the bytes from its method to the last header; null
 *                      for bytes that are not UTF-8
 *
 *   /reset             sets all of these to zero
 *
 *   /release?name=     lets /hold?name= send its answers
 *
 *   /map?path=PATH&to=ROUTE[&method=M][&times=N]
 *                      requests for PATH get the behaviour of ROUTE; a PATH that ends in '*' stands
 *                      for all paths that begin so. With times=N, only the first N requests do. The
 *                      first mapping that fits wins. Without to=, removes the mappings of PATH
 *
 * Behaviours, for any method:
 *
 *   /ok                answers {}
 *
 *   /echo, /echo/...   answers with the request as JSON
 *
 *   /status?code=&type=&body=&retry_after=
 *                      this answer; an empty type= means no Content-Type
 *
 *   /redirect?code=&to=     /auth?user=&password=     /bearer?token=
 *
 *   /drop?after=N      answers {} to the first N-1 requests of a connection; from the Nth on, reads
 *                      the request and closes the connection without an answer
 *
 *   /drop-reused       the same as /drop?after=2
 *
 *   /delay?s=&body=    answers after s
 *
 *   /hang              never answers
 *
 *   /barrier?n=&name=  answers {} when n requests wait there; 503 after 30 seconds
 *
 *   /hold?name=&body=&send=
 *                      answers after a request for /release?name=; later requests are then answered
 *                      at once. With send=N, the headers and N bytes of the body are sent at once.
 *                      Closes the connection after 60 seconds
 *
 *   /drip?bytes=&s=    sends the headers, then one byte every s
 *
 *   /short?say=&send=     /reset-body?bytes=     /reset-now     /garbage     /half-head
 *
 *   /nolength?body=     /chunked?body=     /huge-header?bytes=&lines=
 *
 *   /slow-close?s=     sends the whole body at once, without a length, and closes the connection
 *                      (which ends the body) after s
 *
 *   /idle?s=           keeps the connection open, but closes it if no request follows within s
 *
 *   /gzip?repeat=&text=     an array with this string many times; /gzip?bytes= a string of that many
 *                      zeros. Compressed if the client accepts gzip
 *
 *   /big?bytes=        that many bytes
 *
 *   /bigjson?n=        an array of n empty objects
 *
 *   /answers?n=        n answers of a study query, in the layout of Orthanc
 */
#include "faultd.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "listener.h"

enum { LOG_LINES = 200, REMEMBERED_MAX = 1 << 20 };

typedef struct path_record {
    struct path_record *next;
    char *path;
    unsigned long count;
    char *last; /* JSON */
} path_record;

typedef struct mapping {
    struct mapping *next;
    char *path, *method, *to; /* method "": any */
    unsigned long left;       /* number of requests that it still applies to; 0: no limit */
} mapping;

/* One per process, protected by `lock`. */
static struct {
    pthread_mutex_t lock;
    unsigned long accepted, connections, requests, open, waiting, peak, ordinals, logged;
    unsigned long epoch; /* grows with each reset */
    path_record *paths;
    mapping *mappings;
    char *log[LOG_LINES], *heads[LOG_LINES];
} state = { .lock = PTHREAD_MUTEX_INITIALIZER, .epoch = 1 };

static void lock(void)
{
    pthread_mutex_lock(&state.lock);
}

static void unlock(void)
{
    pthread_mutex_unlock(&state.lock);
}

/* Call it before the answer is sent. Called later, it could count a client that sends its next
 * request at once twice in the peak. */
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

/* ---- control ---- */

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

static void answer_list(exchange *x, char *const list[LOG_LINES])
{
    text t = { 0 };
    text_puts(&t, "[");
    lock();
    for (unsigned long i = state.logged > LOG_LINES ? state.logged - LOG_LINES : 0;
         i < state.logged; i++) {
        const char *line = list[i % LOG_LINES];
        text_json(&t, line, strlen(line));
        if (i + 1 < state.logged)
            text_puts(&t, ",");
    }
    unlock();
    text_puts(&t, "]");
    answer_json(x, &t);
}

static void do_log(exchange *x)
{
    answer_list(x, state.log);
}

static void do_heads(exchange *x)
{
    answer_list(x, state.heads);
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

/* A copy of a parameter, "" if it is missing. The caller frees it. */
static char *copy_of(const char *query, const char *name)
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
    m->path = copy_of(query, "path");
    m->method = copy_of(query, "method");
    m->to = copy_of(query, "to");
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

/* Sets the route: the target of the first mapping that fits, or else the request's path and query. */
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
    { "/count", do_count },       { "/heads", do_heads }, { "/last", do_last },
    { "/log", do_log },           { "/map", do_map },     { "/release", do_release },
    { "/requests", do_requests }, { "/reset", do_reset },
};

static behaviour control_of(const char *path)
{
    for (size_t i = 0; i < sizeof control_routes / sizeof *control_routes; i++)
        if (strcmp(control_routes[i].path, path) == 0)
            return control_routes[i].run;
    return NULL;
}

/* ---- connections ---- */

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
    free(state.heads[state.logged % LOG_LINES]);
    state.heads[state.logged % LOG_LINES] = x->raw.data;
    x->raw = (text){ 0 };
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
        exchange x = { .c = c, .before_answer = no_longer_waiting };
        if (read_request(&x))
            handle(&x);
        else
            c->last = true;
        text_free(&x.head);
        text_free(&x.raw);
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

/* `words` are "--run", COMMAND, ARGUMENT... The child moves COMMAND to the place of "--run", which
 * makes room for the URL before the arguments. */
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
    if (getppid() == self) /* else the parent died before the prctl */
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

int main(int argc, char **argv)
{
    const pid_t parent = getppid();
    pid_t command = 0;
    int port, listener, next = 1, status = 0;
    listener_prepare();
    for (; next < argc && strcmp(argv[next], "--run") != 0; next++)
        map(argv[next]);
    listener = listener_open(&port);
    if (next + 1 < argc && (command = run(argv + next, port)) < 0) {
        perror("faultd");
        return 1;
    }
    listener_raise_limit(); /* the command does not inherit it */
    if (command == 0)
        printf("%d\n", port);
    fflush(stdout);
    while (listener_accept(listener, parent, take_connection) && !ended(command, &status))
        ;
    _exit(status); /* the threads, and a command that still runs, end with the process */
}
