#include "command/signals.h"

#include <signal.h>
#include <string.h>

#include "command/watchdog.h"

/* A signal handler has no other way to its runtime. */
static modalua_runtime *volatile interrupted_runtime;
static volatile sig_atomic_t interrupts;
static volatile sig_atomic_t last_signal;
static volatile sig_atomic_t noting, noted;
static double limit; /* seconds that a run may take; 0 = any */

/* First: cancel. Second: kill, and the watchdog. Third: the system's own way. */
static void on_interrupt(int sig)
{
    last_signal = sig;
    if (noting && !noted) {
        noted = 1;
        return;
    }
    if (interrupted_runtime)
        modalua_cancel(interrupted_runtime);
    if (++interrupts == 2) {
        watchdog_alert(sig);
        signal(sig, SIG_DFL);
    }
}

/* Without SA_RESTART: a read that waits for a line ends too. */
void signals_catch(modalua_runtime *rt)
{
    struct sigaction how;
    memset(&how, 0, sizeof how);
    sigemptyset(&how.sa_mask);
    watchdog_watch(rt, limit); /* before a handler could alert it */
    interrupted_runtime = rt;
    interrupts = last_signal = noting = noted = 0;
    how.sa_handler = on_interrupt;
    sigaction(SIGINT, &how, NULL);
    sigaction(SIGTERM, &how, NULL);
}

void signals_release(void)
{
    watchdog_rest();
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    interrupted_runtime = NULL;
}

void signals_note(bool on)
{
    noting = on;
}

bool signals_noted(void)
{
    return noted != 0;
}

void signals_forget(void)
{
    noted = 0;
}

int signals_last(void)
{
    return last_signal;
}

void signals_set_limit(double seconds)
{
    limit = seconds;
}
