#include "base/thread.h"

#include "base/signal_mask.h"

int thread_start(pthread_t *thread, size_t stack_bytes, void *(*run)(void *user), void *user)
{
    pthread_attr_t attributes;
    signal_mask mask;
    int fault = pthread_attr_init(&attributes);
    if (fault != 0)
        return fault;
    if (stack_bytes > 0)
        pthread_attr_setstacksize(&attributes, stack_bytes);
    signal_mask_block(&mask);
    fault = pthread_create(thread, &attributes, run, user);
    signal_mask_restore(&mask);
    pthread_attr_destroy(&attributes);
    return fault;
}
