/* lag.c - a TCP proxy that adds network latency, for specs and shell scripts.
 *
 *   lag PORT MILLISECONDS
 *
 * It listens on a free port of 127.0.0.1, prints the port number, and forwards each connection to
 * 127.0.0.1:PORT. It ends when the reader of its standard output closes it, or when its parent
 * process ends. An event on one side (bytes, an end of the stream, a reset) happens MILLISECONDS
 * later on the other side, in the same order and at the same speed. On loopback, connect() returns
 * at once. So the proxy delays the first bytes instead, by the round trip that opening a connection
 * takes.
 *
 * It does not simulate a limited throughput, TCP's slow start, and the effect of late
 * acknowledgements on Nagle's algorithm.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    LINKS_MAX = 1000,
    READ_MAX = 1 << 16,
    READS_MAX = 16,    /* reads from one connection before the others get their turn */
    HELD_MAX = 1 << 26 /* most bytes in flight for each direction: then reading pauses */
};

/* The two ends of a link. */
enum { CLIENT, SERVER };

typedef struct chunk {
    struct chunk *next;
    double due;
    size_t size, sent;
    char bytes[];
} chunk;

typedef enum { OPEN, ENDED, RESET } ending;

/* The bytes, and the ending of the stream, that are in flight to one end. */
typedef struct flow {
    chunk *first, **last;
    size_t held;
    ending ending; /* takes effect after the chunks */
    double ending_due;
    bool over; /* the ending has taken effect */
} flow;

typedef struct tcp_link {
    int fd[2];        /* fd[SERVER] is -1 until the time `connects` */
    flow to[2];       /* indexed by the receiving end */
    double connects;  /* when the proxy connects to the server */
    double starts[2]; /* the earliest time at which an end can send */
} tcp_link;

/* One per process. */
static struct {
    tcp_link *links[LINKS_MAX];
    int count, port;
    double delay;
} state;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct sockaddr_in address(int port)
{
    struct sockaddr_in a = { .sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr = { htonl(INADDR_LOOPBACK) } };
    return a;
}

/* The time at which an event at the end `from` reaches the other end. */
static double arrival(const tcp_link *l, int from, double at)
{
    return (at > l->starts[from] ? at : l->starts[from]) + state.delay;
}

static void end_flow(flow *f, ending how, double due)
{
    f->ending = how;
    f->ending_due = due;
    f->over = false; /* a reset may follow an end of the stream that has taken effect */
}

static void take(flow *f, const char *bytes, size_t size, double due)
{
    chunk *c = malloc(sizeof *c + size);
    if (!c)
        abort();
    *c = (chunk){ .due = due, .size = size };
    memcpy(c->bytes, bytes, size);
    *f->last = c;
    f->last = &c->next;
    f->held += sizeof *c + size;
}

static void drop_first(flow *f)
{
    chunk *c = f->first;
    f->first = c->next;
    if (!f->first)
        f->last = &f->first;
    f->held -= sizeof *c + c->size;
    free(c);
}

static void drop_all(flow *f)
{
    while (f->first)
        drop_first(f);
}

/* Reads the bytes that an end has sent. An error counts as a reset, which may follow even an end of
 * the stream. */
static void receive(tcp_link *l, int from, short revents, double at)
{
    static char buffer[READ_MAX];
    flow *f = &l->to[!from];
    const bool wrong = revents & (POLLERR | POLLHUP);
    ssize_t size = 1;
    int reads = 0;
    if (f->ending == ENDED && wrong)
        end_flow(f, RESET, arrival(l, from, at));
    if (f->ending != OPEN || !(wrong || revents & POLLIN))
        return;
    while (size > 0 && (wrong || (reads++ < READS_MAX && f->held < HELD_MAX))) {
        size = recv(l->fd[from], buffer, sizeof buffer, 0);
        if (size > 0)
            take(f, buffer, (size_t)size, arrival(l, from, at));
    }
    if (size == 0)
        end_flow(f, ENDED, arrival(l, from, at));
    else if (size < 0 && errno != EAGAIN && errno != EINTR)
        end_flow(f, RESET, errno == ECONNREFUSED ? at + state.delay : arrival(l, from, at));
}

/* Sends to an end the chunks that are due, and ends its stream when that is due. */
static void deliver(tcp_link *l, int to, double at)
{
    flow *f = &l->to[to], *back = &l->to[!to];
    while (f->first && f->first->due <= at) {
        chunk *c = f->first;
        ssize_t size = send(l->fd[to], c->bytes + c->sent, c->size - c->sent, MSG_NOSIGNAL);
        if (size < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (size < 0) { /* the end is closed: a TCP stack answers bytes with a reset then */
            drop_all(f);
            if (back->ending != RESET)
                end_flow(back, RESET, arrival(l, to, at));
            return;
        }
        c->sent += (size_t)size;
        if (c->sent == c->size)
            drop_first(f);
    }
    if (!f->first && f->ending != OPEN && !f->over && f->ending_due <= at) {
        f->over = true;
        if (f->ending == ENDED)
            shutdown(l->fd[to], SHUT_WR);
    }
}

static void connect_onward(tcp_link *l, double at)
{
    const int on = 1;
    const struct sockaddr_in a = address(state.port);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        abort();
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    l->fd[SERVER] = fd;
    if (connect(fd, (const struct sockaddr *)&a, sizeof a) != 0 && errno != EINPROGRESS)
        end_flow(&l->to[CLIENT], RESET, at + state.delay);
}

/* True if a reset has taken effect, or the end of both streams. */
static bool is_over(const tcp_link *l)
{
    const flow *c = &l->to[CLIENT], *s = &l->to[SERVER];
    return (c->over && c->ending == RESET) || (s->over && s->ending == RESET) ||
           (c->over && s->over);
}

static void close_link(tcp_link *l)
{
    const struct linger at_once = { .l_onoff = 1, .l_linger = 0 };
    const bool broken = l->to[CLIENT].ending == RESET || l->to[SERVER].ending == RESET;
    for (int end = CLIENT; end <= SERVER; end++) {
        drop_all(&l->to[end]);
        if (l->fd[end] < 0)
            continue;
        if (broken) /* makes the close a reset */
            setsockopt(l->fd[end], SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        close(l->fd[end]);
    }
    free(l);
}

static void accept_all(int listener, double at)
{
    const int on = 1;
    int fd;
    while (state.count < LINKS_MAX &&
           (fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
        tcp_link *l = calloc(1, sizeof *l);
        if (!l)
            abort();
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        l->fd[CLIENT] = fd;
        l->fd[SERVER] = -1;
        l->to[CLIENT].last = &l->to[CLIENT].first;
        l->to[SERVER].last = &l->to[SERVER].first;
        l->connects = at + state.delay;           /* SYN */
        l->starts[CLIENT] = at + 2 * state.delay; /* SYN+ACK */
        l->starts[SERVER] = at + 3 * state.delay; /* ACK */
        state.links[state.count++] = l;
    }
}

/* The entry for poll() of one end. */
static struct pollfd wanted(const tcp_link *l, int end, double at)
{
    const flow *in = &l->to[end], *out = &l->to[!end];
    struct pollfd p = { l->fd[end], 0, 0 };
    if (out->ending == OPEN && out->held < HELD_MAX)
        p.events |= POLLIN;
    if (in->first && in->first->due <= at)
        p.events |= POLLOUT;
    if (out->ending == RESET || (out->ending == ENDED && in->over))
        p.fd = -1; /* nothing more will come, and poll would report POLLHUP without a pause */
    return p;
}

/* The time of the next event of the link, if it is before `soonest`; else `soonest`. */
static double next_due(const tcp_link *l, double at, double soonest)
{
    double due[3] = { l->fd[SERVER] < 0 ? l->connects : soonest, soonest, soonest };
    for (int end = CLIENT; end <= SERVER; end++) {
        const flow *f = &l->to[end];
        if (f->first)
            due[1 + end] = f->first->due;
        else if (f->ending != OPEN && !f->over)
            due[1 + end] = f->ending_due;
    }
    for (int i = 0; i < 3; i++)
        if (due[i] > at && due[i] < soonest) /* an overdue chunk waits for POLLOUT instead */
            soonest = due[i];
    return soonest;
}

/* Fills p (the listener, standard output, two entries for each link), then waits for an event. */
static void wait_for_event(struct pollfd *p, int listener)
{
    const double at = now();
    double until = at + 0.1; /* then check again that the parent process still runs */
    struct timespec patience = { 0 };
    p[0] = (struct pollfd){ state.count < LINKS_MAX ? listener : -1, POLLIN, 0 };
    p[1] = (struct pollfd){ STDOUT_FILENO, 0, 0 };
    for (int i = 0; i < state.count; i++) {
        const tcp_link *l = state.links[i];
        p[2 + 2 * i] = wanted(l, CLIENT, at);
        p[3 + 2 * i] = wanted(l, SERVER, at);
        until = next_due(l, at, until);
    }
    patience.tv_nsec = (long)((until - at) * 1e9);
    if (ppoll(p, (nfds_t)(2 + 2 * state.count), &patience, NULL) < 0) /* revents are undefined */
        for (int i = 0; i < 2 + 2 * state.count; i++)
            p[i].revents = 0;
}

static void step(tcp_link *l, const struct pollfd *p, double at)
{
    if (l->fd[SERVER] < 0 && l->connects <= at)
        connect_onward(l, at);
    for (int end = CLIENT; end <= SERVER; end++)
        if (p[end].revents)
            receive(l, end, p[end].revents, at);
    for (int end = CLIENT; end <= SERVER; end++)
        if (l->fd[end] >= 0)
            deliver(l, end, at);
}

static void serve(int listener, pid_t parent)
{
    static struct pollfd p[2 + 2 * LINKS_MAX];
    /* getppid, not PR_SET_PDEATHSIG: this signal comes when the thread that started us ends, even if
     * the parent process has other threads */
    while (p[1].revents == 0 && getppid() == parent) {
        wait_for_event(p, listener);
        const double at = now();
        for (int i = 0; i < state.count; i++)
            step(state.links[i], p + 2 + 2 * i, at);
        for (int i = state.count - 1; i >= 0; i--)
            if (is_over(state.links[i])) {
                close_link(state.links[i]);
                state.links[i] = state.links[--state.count];
            }
        accept_all(listener, at);
    }
    while (state.count > 0)
        close_link(state.links[--state.count]);
}

static int listen_on_loopback(void)
{
    struct sockaddr_in a = address(0);
    socklen_t size = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (bind(fd, (struct sockaddr *)&a, size) != 0 || listen(fd, 1024) != 0 ||
        getsockname(fd, (struct sockaddr *)&a, &size) != 0) {
        perror("lag");
        exit(1);
    }
    printf("%d\n", ntohs(a.sin_port));
    fflush(stdout);
    return fd;
}

int main(int argc, char **argv)
{
    const pid_t parent = getppid();
    struct rlimit files;
    close_range(3, ~0U, 0); /* else inherited descriptors would keep the parent's sockets open */
    signal(SIGPIPE, SIG_IGN);
    if (argc != 3 || atoi(argv[1]) < 1 || atoi(argv[1]) > 65535 || atof(argv[2]) < 0) {
        fprintf(stderr, "usage: lag PORT MILLISECONDS\n");
        return 2;
    }
    state.port = atoi(argv[1]);
    state.delay = atof(argv[2]) / 1000;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    serve(listen_on_loopback(), parent);
    return 0;
}
