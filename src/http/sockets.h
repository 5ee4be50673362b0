/* http/sockets.h - the descriptors and the time that libcurl waits for. libcurl tells them through two
 * callbacks (CURLMOPT_SOCKETFUNCTION, CURLMOPT_TIMERFUNCTION), whatever number a descriptor has; the
 * application polls them, and says what is ready (curl_multi_socket_action). */
#ifndef HTTP_SOCKETS_H
#define HTTP_SOCKETS_H

#include <curl/curl.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/memory.h"

typedef struct http_sockets {
    memory *memory;
    struct pollfd *list; /* revents: of the last poll, until libcurl has been told */
    size_t count, room;
    bool polled;     /* a poll has just filled in revents */
    bool incomplete; /* libcurl had no memory to tell a descriptor */
    double due;      /* when libcurl's timer is over, on clock_now's clock; 0 = none is set */
} http_sockets;

/* curl_multi_init. No child process inherits the descriptors of the handle. */
CURLM *http_sockets_new_multi(void);

/* Makes libcurl tell the descriptors and the timer of `multi`. `s` must outlive it. False: libcurl
 * refuses. */
bool http_sockets_attach(http_sockets *s, memory *m, CURLM *multi);

/* Before a transfer starts: makes room for the descriptors of so many at the same time, so that the
 * callback of libcurl never needs memory. False: not enough memory. */
bool http_sockets_reserve(http_sockets *s, unsigned transfers);

/* Frees the list, after libcurl has let go of the multi handle. */
void http_sockets_free(http_sockets *s);

/* Tells libcurl which descriptors are ready, and whether its timer is over. Does not block. */
void http_sockets_act(http_sockets *s, CURLM *multi);

/* Blocks until one of the descriptors is ready, or one of the `count` others of `own`, the timer is
 * over, `milliseconds` have passed, or a signal comes. */
void http_sockets_wait(http_sockets *s, struct pollfd *own, size_t count, int milliseconds);

/* Fills in at most `count` descriptors, and shortens *milliseconds to the time until the timer is
 * over. Returns how many descriptors there are. */
int http_sockets_fds(const http_sockets *s, struct pollfd *fds, int count, int *milliseconds);

#endif
