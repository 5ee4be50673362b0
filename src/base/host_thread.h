/* base/host_thread.h - what belongs to the thread that the host lends: its locale and its signal mask.
 * While the library works, the locale is "C"; while libcurl works, signals are blocked. Around a
 * callback of the host both are the host's own. Knows no Lua. */
#ifndef BASE_HOST_THREAD_H
#define BASE_HOST_THREAD_H

#include <locale.h>
#include <stdbool.h>

#include "base/signal_mask.h"

typedef struct host_thread {
    locale_t library; /* "C"; 0: the locale of the thread is left as it is */
    locale_t host;    /* the host's, between host_thread_enter and host_thread_leave */
    bool entered;
    bool blocked; /* between host_thread_block and host_thread_unblock */
    signal_mask signals;
    unsigned lent; /* calls of host_thread_lend that have not been taken back */
} host_thread;

/* Makes the locale of a zeroed struct. False: not enough memory. */
bool host_thread_open(host_thread *h);
void host_thread_close(host_thread *h);

/* The library works on this thread between these two calls. */
void host_thread_enter(host_thread *h);
void host_thread_leave(host_thread *h);

/* libcurl works between these two calls. */
void host_thread_block(host_thread *h);
void host_thread_unblock(host_thread *h);

/* A callback of the host works between these two calls. What it changes stays: the host gets back the
 * locale and the mask that its callback has left. */
void host_thread_lend(host_thread *h);
void host_thread_take_back(host_thread *h);

#endif
