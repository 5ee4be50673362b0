#include "http/sockets.h"

#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

/* libcurl waits for at most five descriptors for one transfer (MAX_SOCKSPEREASYHANDLE). */
enum { PER_TRANSFER = 5, FIRST_TRANSFERS = 8 };

/* Between two looks at all transfers, when libcurl could not tell a descriptor. */
enum { LOOK_AGAIN_MS = 10 };

/* ---- the list ---- */

static bool grow(http_sockets *s, size_t room)
{
    struct pollfd *grown;
    if (room <= s->room)
        return true;
    grown = memory_realloc(s->memory, s->list, s->room * sizeof *grown, room * sizeof *grown);
    if (!grown)
        return false;
    s->list = grown;
    s->room = room;
    return true;
}

bool http_sockets_reserve(http_sockets *s, unsigned transfers)
{
    size_t need =
        (size_t)(transfers < FIRST_TRANSFERS ? FIRST_TRANSFERS : transfers) * PER_TRANSFER + 1;
    return need <= s->room || grow(s, need < 2 * s->room ? 2 * s->room : need);
}

void http_sockets_free(http_sockets *s)
{
    if (s->list)
        memory_realloc(s->memory, s->list, s->room * sizeof *s->list, 0);
    memset(s, 0, sizeof *s);
}

static struct pollfd *find(const http_sockets *s, int fd)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->list[i].fd == fd)
            return &s->list[i];
    return NULL;
}

/* ---- what child processes inherit ----
 *
 * libcurl makes pairs of sockets by itself that are not close-on-exec: one for each multi handle, and one
 * for each name that is looked up. */

/* What a pipe to a child process could also be, but its number says that libcurl has just made it. */
static bool is_inherited_pair(int fd, struct stat *status)
{
    int domain = 0, flags = fcntl(fd, F_GETFD);
    socklen_t size = sizeof domain;
    return flags >= 0 && !(flags & FD_CLOEXEC) && fstat(fd, status) == 0 &&
           getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX;
}

/* Makes the first end of a pair close-on-exec, and its other end. The kernel numbers the two sockets one after
 * the other, and most often the two descriptors too. */
static void keep_pair_from_children(int fd)
{
    enum { NEIGHBOURS = 16 };
    struct stat first, second;
    if (!is_inherited_pair(fd, &first))
        return;
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    for (int other = fd + 1; other < fd + NEIGHBOURS; other++) {
        if (is_inherited_pair(other, &second) && second.st_ino == first.st_ino + 1) {
            fcntl(other, F_SETFD, FD_CLOEXEC);
            return;
        }
    }
}

static int readable_bytes(int fd)
{
    int count = -1;
    return ioctl(fd, FIONREAD, &count) == 0 ? count : -1;
}

/* `lowest`: the number of the descriptor that was free before the handle was made. The pair of a handle is for
 * curl_multi_wakeup, which makes its first end readable. */
static void keep_wakeup_from_children(CURLM *multi, int lowest)
{
    bool is_quiet = readable_bytes(lowest) == 0, is_awake;
    if (!is_quiet || curl_multi_wakeup(multi) != CURLM_OK)
        return;
    is_awake = readable_bytes(lowest) > 0;
    curl_multi_poll(multi, NULL, 0, 0, NULL); /* which empties it */
    if (is_awake && readable_bytes(lowest) == 0)
        keep_pair_from_children(lowest);
}

CURLM *http_sockets_new_multi(void)
{
    int lowest = open("/dev/null", O_RDONLY | O_CLOEXEC);
    CURLM *multi;
    if (lowest >= 0)
        close(lowest);
    multi = curl_multi_init();
    if (multi && lowest >= 0)
        keep_wakeup_from_children(multi, lowest);
    return multi;
}

/* ---- what libcurl tells ---- */

/* The last descriptor takes the place of one that is removed. */
static int http_on_descriptor(CURL *easy, curl_socket_t fd, int what, void *user, void *unused)
{
    http_sockets *s = user;
    struct pollfd *at = find(s, fd);
    (void)easy;
    (void)unused;
    if (what == CURL_POLL_REMOVE) {
        if (at)
            *at = s->list[--s->count];
        return 0;
    }
    if (!at) {
        if (!grow(s, s->count + 1))
            return -1;
        at = &s->list[s->count++];
        *at = (struct pollfd){ .fd = fd };
        keep_pair_from_children(fd);
    }
    at->events = (short)((what & CURL_POLL_IN ? POLLIN : 0) | (what & CURL_POLL_OUT ? POLLOUT : 0));
    return 0;
}

static int http_on_timer(CURLM *multi, long milliseconds, void *user)
{
    http_sockets *s = user;
    (void)multi;
    s->due = milliseconds < 0 ? 0 : clock_now() + (double)milliseconds / 1000;
    return 0;
}

bool http_sockets_attach(http_sockets *s, memory *m, CURLM *multi)
{
    memset(s, 0, sizeof *s);
    s->memory = m;
    return curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, http_on_descriptor) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, s) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, http_on_timer) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_TIMERDATA, s) == CURLM_OK;
}

/* ---- what libcurl is told ---- */

static void look(http_sockets *s, nfds_t count, int milliseconds)
{
    if (poll(s->list, count, milliseconds) < 0)
        for (size_t i = 0; i < s->count; i++)
            s->list[i].revents = 0;
    s->polled = true;
}

/* A descriptor that has failed is ready for what libcurl waits for: reading or writing then tells
 * what has happened. */
static int action_of(const struct pollfd *p)
{
    short ready = p->revents;
    if (ready & (POLLERR | POLLHUP | POLLNVAL))
        ready = (short)(ready | p->events);
    return (ready & POLLIN ? CURL_CSELECT_IN : 0) | (ready & POLLOUT ? CURL_CSELECT_OUT : 0);
}

/* Without memory libcurl may forget a descriptor: then it looks at all of them itself, again and
 * again, until its transfers have ended. */
static void tell(http_sockets *s, CURLM *multi, int fd, int action)
{
    int running;
    if (curl_multi_socket_action(multi, fd, action, &running) != CURLM_OK)
        s->incomplete = true;
}

/* Each action can change the list. A descriptor that is passed over by that is ready again at the
 * next look. */
void http_sockets_act(http_sockets *s, CURLM *multi)
{
    int running;
    if (!s->polled && s->count > 0)
        look(s, (nfds_t)s->count, 0);
    s->polled = false;
    for (size_t i = 0; i < s->count; i++) {
        int action = action_of(&s->list[i]);
        s->list[i].revents = 0;
        if (action)
            tell(s, multi, s->list[i].fd, action);
    }
    if (s->due > 0 && clock_now() >= s->due) {
        s->due = 0;
        tell(s, multi, CURL_SOCKET_TIMEOUT, 0);
    }
    if (s->incomplete)
        curl_multi_perform(multi, &running);
}

/* Rounded up, so that the timer is over after the wait. */
static int milliseconds_left(const http_sockets *s, int milliseconds)
{
    double left = s->due > 0 ? s->due - clock_now() : HUGE_VAL;
    if (s->incomplete && milliseconds > LOOK_AGAIN_MS)
        milliseconds = LOOK_AGAIN_MS;
    if (left >= milliseconds / 1000.0)
        return milliseconds;
    return left <= 0 ? 0 : (int)(left * 1000) + 1;
}

/* Without memory for all descriptors in one list, libcurl's are looked at a moment later. */
void http_sockets_wait(http_sockets *s, struct pollfd *own, size_t count, int milliseconds)
{
    milliseconds = milliseconds_left(s, milliseconds);
    if (s->list && grow(s, s->count + count)) {
        memcpy(s->list + s->count, own, count * sizeof *own);
        look(s, (nfds_t)(s->count + count), milliseconds);
        return;
    }
    if (s->list && milliseconds > LOOK_AGAIN_MS)
        milliseconds = LOOK_AGAIN_MS;
    poll(own, (nfds_t)count, milliseconds);
}

int http_sockets_fds(const http_sockets *s, struct pollfd *fds, int count, int *milliseconds)
{
    for (size_t i = 0; i < s->count && (int)i < count; i++)
        fds[i] = (struct pollfd){ .fd = s->list[i].fd, .events = s->list[i].events };
    *milliseconds = milliseconds_left(s, *milliseconds);
    return (int)s->count;
}
