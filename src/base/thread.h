/* base/thread.h - starts threads of the library, which leave the signals of the program alone. Knows no Lua. */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include <pthread.h>
#include <stddef.h>

/* Starts a thread in which all signals are blocked, but those of faults: other threads handle them. stack_bytes: 0
 * for the usual size. Returns 0, or an errno. */
int thread_start(pthread_t *thread, size_t stack_bytes, void *(*run)(void *user), void *user);

#endif
