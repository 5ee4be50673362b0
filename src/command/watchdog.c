#include "command/watchdog.h"

#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/thread.h"
#include "base/wakeup.h"
#include "command/console.h"

enum { EXIT_SIGNAL = 128, PATIENCE_SECONDS = 1, LONGEST_WAIT_SECONDS = 3600 };

enum { STACK_BYTES = 256 * 1024 }; /* the usual size may be more than a limited address space has */

#define SHORTEST_IDLE 0.5 /* seconds between two looks while no run is under way */

/* A signal handler has no other way to it. */
static struct {
    pthread_mutex_t lock; /* of what follows, up to `starved` */
    modalua_runtime *watched;
    double limit;
    bool due;          /* the kill was due at an earlier look; as of the first such look: */
    double overdue;    /* modalua_overdue */
    double starved;    /* starved_seconds */
    atomic_int signal; /* that asked for a kill; 0 = none has */
    wakeup wakeup;
    bool started;
} dog = { .lock = PTHREAD_MUTEX_INITIALIZER, .wakeup = { -1, -1 } };

static void end_process(void)
{
    static const char message[] =
        "modalua: the run cannot be stopped otherwise: ending the process\n";
    int sig = atomic_load(&dog.signal);
    ssize_t ignored = write(STDERR_FILENO, message, sizeof message - 1);
    (void)ignored;
    _exit(sig ? EXIT_SIGNAL + sig : EXIT_FAILURE);
}

/* Seconds that the main thread, which runs the scripts, could have run and had to wait for a
 * processor; 0 where the system does not tell (proc(5): schedstat). */
static double starved_seconds(void)
{
    unsigned long long waited = 0;
    char line[64]; /* "nanoseconds-run nanoseconds-waited times-run" */
    FILE *f = fopen("/proc/self/schedstat", "re");
    if (!f)
        return 0;
    if (fgets(line, sizeof line, f)) {
        char *end;
        strtoull(line, &end, 10);
        waited = strtoull(end, NULL, 10);
    }
    fclose(f);
    return (double)waited * 1e-9;
}

/* Seconds of patience left with a run that is overdue. On a busy machine an orderly end takes longer:
 * patience counts no time for which the main thread waited for a processor. */
static double patience_left(double overdue)
{
    double starved = starved_seconds();
    if (!dog.due) {
        dog.due = true;
        dog.overdue = overdue;
        dog.starved = starved;
    }
    return PATIENCE_SECONDS - (overdue - dog.overdue) + fmax(starved - dog.starved, 0);
}

/* Seconds until the next look; ends the process when patience is over. */
static double look(void)
{
    double left = INFINITY;
    pthread_mutex_lock(&dog.lock);
    if (dog.watched && (dog.limit > 0 || atomic_load(&dog.signal))) {
        double overdue = modalua_overdue(dog.watched);
        left = overdue < 0 ? -overdue : patience_left(overdue);
        if (left <= 0)
            end_process();
        dog.due = overdue >= 0;
    }
    /* A run that starts from now on is due after its limit, or later. */
    if (dog.watched && dog.limit > 0)
        left = fmin(left, fmax(dog.limit, SHORTEST_IDLE));
    pthread_mutex_unlock(&dog.lock);
    return left;
}

static void *watch(void *unused)
{
    (void)unused;
    for (;;) {
        struct pollfd fd = { .fd = dog.wakeup.reader, .events = POLLIN };
        double left = look();
        poll(&fd, 1, left > LONGEST_WAIT_SECONDS ? -1 : (int)(left * 1000) + 1);
        wakeup_drain(&dog.wakeup);
    }
    return NULL;
}

static void start_thread(void)
{
    pthread_t thread;
    int error = wakeup_open(&dog.wakeup);
    dog.started = true;
    if (error == 0)
        error = thread_start(&thread, STACK_BYTES, watch, NULL);
    if (error == 0)
        pthread_detach(thread);
    else
        console_complain("the watchdog cannot start: %s", strerror(error));
}

void watchdog_watch(modalua_runtime *rt, double limit)
{
    if (!dog.started)
        start_thread();
    pthread_mutex_lock(&dog.lock);
    dog.watched = rt;
    dog.limit = limit;
    dog.due = false;
    atomic_store(&dog.signal, 0);
    pthread_mutex_unlock(&dog.lock);
    if (limit > 0)
        wakeup_send(&dog.wakeup);
}

void watchdog_rest(void)
{
    pthread_mutex_lock(&dog.lock);
    dog.watched = NULL;
    pthread_mutex_unlock(&dog.lock);
}

void watchdog_alert(int sig)
{
    atomic_store(&dog.signal, sig);
    wakeup_send(&dog.wakeup);
}
