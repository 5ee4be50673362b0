/* base/wakeup.h - ends a poll() from another thread or from a signal handler: a pipe that the poll
 * watches for input (the "self-pipe trick"). Knows no Lua. */
#ifndef BASE_WAKEUP_H
#define BASE_WAKEUP_H

typedef struct wakeup {
    int reader, writer; /* descriptors; -1 = not open */
} wakeup;

/* Makes it closed. For memory that holds no wakeup yet. */
void wakeup_clear(wakeup *w);

/* Opens the pipe. It is close-on-exec, so that no child process inherits it, and non-blocking, so
 * that a full pipe never blocks a signal handler. Returns 0, or errno and leaves it closed. */
int wakeup_open(wakeup *w);

/* Idempotent. */
void wakeup_close(wakeup *w);

/* Makes the reading end readable, until the next wakeup_drain. Keeps errno. Any thread, and signal
 * handlers. */
void wakeup_send(const wakeup *w);

/* Empties the pipe, however often wakeup_send was called. */
void wakeup_drain(const wakeup *w);

#endif
