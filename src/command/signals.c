#include "command/signals.h"

#include <signal.h>
#include <string.h>

#include "command/watchdog.h"

/* Globals, because a signal handler gets no argument. */
static modalua_runtime *volatile interrupted_runtime;
static volatile sig_atomic_t signal_count, last_signal;
static volatile sig_atomic_t notes, has_noted; /* signals_note is on; a signal was noted */
static double run_limit;                       /* seconds; 0 = none */

static void on_signal(int sig)
{
    last_signal = sig;
    if (notes && !has_noted) {
        has_noted = 1;
        return;
    }
    if (interrupted_runtime)
        modalua_cancel(interrupted_runtime);
    if (++signal_count == 2) {
        watchdog_alert(sig);
        signal(sig, SIG_DFL);
    }
}

/* Without SA_RESTART, so that a signal ends a read that waits for a line. */
void signals_catch(modalua_runtime *rt)
{
    struct sigaction how;
    memset(&how, 0, sizeof how);
    sigemptyset(&how.sa_mask);
    watchdog_watch(rt, run_limit); /* first: the handler may alert it at once */
    interrupted_runtime = rt;
    signal_count = last_signal = notes = has_noted = 0;
    how.sa_handler = on_signal;
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

void signals_set_limit(double seconds)
{
    run_limit = seconds;
}

/* A handler, as an ignored signal stays ignored in the programs that a script starts. */
static void on_file_limit(int sig)
{
    (void)sig;
}

void signals_ignore_file_limit(void)
{
    struct sigaction how;
    memset(&how, 0, sizeof how);
    sigemptyset(&how.sa_mask);
    how.sa_flags = SA_RESTART;
    how.sa_handler = on_file_limit;
    sigaction(SIGXFSZ, &how, NULL);
}

void signals_note(bool on)
{
    notes = on;
}

bool signals_noted(void)
{
    return has_noted != 0;
}

void signals_forget(void)
{
    has_noted = 0;
}

int signals_last(void)
{
    return last_signal;
}
