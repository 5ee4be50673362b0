/* base/signal_mask.h - while libcurl runs, all signals are blocked on this thread. The threads that it
 * starts to resolve names inherit that: signal handlers run on the threads of the host application
 * only. A SIGPIPE that a TLS connection causes is removed, and a SIGXFSZ of a file that reaches its
 * size limit: both are reported as errors. */
#ifndef BASE_SIGNAL_MASK_H
#define BASE_SIGNAL_MASK_H

#include <signal.h>
#include <stdbool.h>

enum { SIGNAL_MASK_REMOVED = 2 };

typedef struct signal_mask {
    sigset_t before;
    bool was_pending[SIGNAL_MASK_REMOVED];
} signal_mask;

void signal_mask_block(signal_mask *mask);

void signal_mask_restore(signal_mask *mask);

#endif
