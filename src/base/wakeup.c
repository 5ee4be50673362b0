#include "base/wakeup.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

void wakeup_clear(wakeup *w)
{
    w->reader = w->writer = -1;
}

int wakeup_open(wakeup *w)
{
    int ends[2];
    wakeup_clear(w);
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
        return errno;
    w->reader = ends[0];
    w->writer = ends[1];
    return 0;
}

void wakeup_close(wakeup *w)
{
    if (w->reader >= 0)
        close(w->reader);
    if (w->writer >= 0)
        close(w->writer);
    wakeup_clear(w);
}

void wakeup_send(const wakeup *w)
{
    int saved = errno;
    ssize_t ignored = write(w->writer, "", 1);
    (void)ignored; /* a full pipe is readable too */
    errno = saved;
}

void wakeup_drain(const wakeup *w)
{
    char bytes[64];
    while (read(w->reader, bytes, sizeof bytes) > 0)
        ;
}
