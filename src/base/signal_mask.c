#include "base/signal_mask.h"

#include <stddef.h>
#include <time.h>

static const int removed[SIGNAL_MASK_REMOVED] = { SIGPIPE, SIGXFSZ };

void signal_mask_block(signal_mask *mask)
{
    static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP };
    sigset_t set, pending;
    sigfillset(&set);
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
        sigdelset(&set, faults[i]);
    pthread_sigmask(SIG_BLOCK, &set, &mask->before);
    sigpending(&pending);
    for (size_t i = 0; i < SIGNAL_MASK_REMOVED; i++)
        mask->was_pending[i] = sigismember(&pending, removed[i]) == 1;
}

void signal_mask_restore(signal_mask *mask)
{
    static const struct timespec at_once = { 0, 0 };
    sigset_t pending, one;
    sigpending(&pending);
    for (size_t i = 0; i < SIGNAL_MASK_REMOVED; i++) {
        if (mask->was_pending[i] || sigismember(&pending, removed[i]) != 1)
            continue;
        sigemptyset(&one);
        sigaddset(&one, removed[i]);
        sigtimedwait(&one, NULL, &at_once);
    }
    pthread_sigmask(SIG_SETMASK, &mask->before, NULL);
}
