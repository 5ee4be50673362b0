/* base/clock.h - the clock of all deadlines, timers and durations. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <time.h>

/* Seconds on a monotonic clock; only differences mean something. */
static inline double clock_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* The moment `seconds` from now; 0 = never, for 0 seconds too. */
static inline double clock_after(double seconds)
{
    return seconds > 0 ? clock_now() + seconds : 0;
}

#endif
