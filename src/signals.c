#include "signals.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

enum { EXIT_SIGNAL = 128, PATIENCE_SECONDS = 1 };

/* A signal handler has no other way to its runtime. */
static modalua_runtime *volatile interrupted_runtime;
static volatile sig_atomic_t interrupts;
static volatile sig_atomic_t last_signal;
static volatile sig_atomic_t noting, noted;

/* The script sits in a call that nothing else can stop. */
static void on_alarm(int sig)
{
    static const char message[] =
        "modalua: the run cannot be stopped otherwise: ending the process\n";
    ssize_t ignored = write(STDERR_FILENO, message, sizeof message - 1);
    (void)ignored;
    (void)sig;
    _exit(last_signal ? EXIT_SIGNAL + last_signal : EXIT_FAILURE);
}

void signals_set_clock(double seconds)
{
    struct itimerval timer;
    memset(&timer, 0, sizeof timer);
    timer.it_value.tv_sec = (time_t)seconds;
    timer.it_value.tv_usec = (suseconds_t)((seconds - (double)timer.it_value.tv_sec) * 1e6);
    setitimer(ITIMER_REAL, &timer, NULL);
}

/* First: cancel. Second: kill, and a second later the process. Third: the system's own way. */
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
        alarm(PATIENCE_SECONDS);
        signal(sig, SIG_DFL);
    }
}

/* Without SA_RESTART: a read that waits for a line ends too. */
void signals_catch(modalua_runtime *rt)
{
    struct sigaction how;
    memset(&how, 0, sizeof how);
    sigemptyset(&how.sa_mask);
    interrupted_runtime = rt;
    interrupts = last_signal = noting = noted = 0;
    how.sa_handler = on_interrupt;
    sigaction(SIGINT, &how, NULL);
    sigaction(SIGTERM, &how, NULL);
    how.sa_handler = on_alarm;
    sigaction(SIGALRM, &how, NULL);
    signals_set_clock(0);
}

void signals_release(void)
{
    signals_set_clock(0);
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
