#include "command/signals.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "command/watchdog.h"

/* Globals, because a signal handler gets no argument. */
static modalua_runtime *volatile interrupted_runtime;
static volatile sig_atomic_t signal_count, last_signal;
static volatile sig_atomic_t notes, has_noted; /* signals_note is on; a signal was noted */
static volatile sig_atomic_t usr1_came;        /* and signals_tell has not said so */
static double run_limit;                       /* seconds; 0 = none */

/* The call of signals_next that waits. For the thread that drives the runtime. */
static modalua_reply *listener; /* NULL = none */
static bool told_stop;          /* "stop" was an answer */
static bool catches_usr1;

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

/* The reader of standard output has gone. Each later print is a signal too; only the first one cancels,
 * so that <close> variables can still print. */
static void on_broken_pipe(int sig)
{
    if (last_signal != sig && interrupted_runtime)
        modalua_cancel(interrupted_runtime);
    last_signal = sig;
}

/* When the terminal is gone, the kernel tells only the leader of the session. When that is the command, as in
 * `ssh -t host modalua`, no shell tells the programs that a script has started: they would go on without a terminal,
 * and the command would wait for them. So the command passes the signal on to its process group, to which it belongs
 * itself: the signal counts when it has come back, and not before, because a second signal restores the default
 * action, and what is still pending would then end the process at once. readline sends the signal of the kernel again,
 * in the name of this process. A signal of another process, as of `kill -HUP`, does not mean that the terminal is
 * gone: it is not passed on. */
static void on_hangup(int sig, siginfo_t *info, void *context)
{
    static volatile sig_atomic_t comes_back;
    bool has_come_back = comes_back != 0;
    (void)context;
    comes_back = 0;
    if (!has_come_back && getsid(0) == getpid() &&
        (info->si_code == SI_KERNEL || (info->si_code == SI_USER && info->si_pid == getpid()))) {
        comes_back = 1;
        if (kill(0, sig) == 0)
            return;
        comes_back = 0;
    }
    on_signal(sig);
}

/* A shell or nohup(1) may have set these signals to be ignored: then they stay so. */
static void set_optional_signal(int sig, const struct sigaction *how)
{
    struct sigaction before;
    sigaction(sig, NULL, &before);
    if (before.sa_handler != SIG_IGN)
        sigaction(sig, how, NULL);
}

static void set_optional(bool caught)
{
    struct sigaction how;
    memset(&how, 0, sizeof how);
    sigemptyset(&how.sa_mask);
    how.sa_handler = caught ? on_broken_pipe : SIG_DFL;
    set_optional_signal(SIGPIPE, &how);
    if (caught) {
        how.sa_flags = SA_SIGINFO;
        how.sa_sigaction = on_hangup;
    }
    set_optional_signal(SIGHUP, &how);
}

/* Without SA_RESTART, so that a signal ends a read that waits for a line. */
void signals_catch(modalua_runtime *rt)
{
    struct sigaction how;
    memset(&how, 0, sizeof how);
    sigemptyset(&how.sa_mask);
    watchdog_watch(rt, run_limit); /* first: the handler may alert it at once */
    interrupted_runtime = rt;
    signal_count = last_signal = notes = has_noted = usr1_came = 0;
    told_stop = false;
    how.sa_handler = on_signal;
    sigaction(SIGINT, &how, NULL);
    sigaction(SIGTERM, &how, NULL);
    set_optional(true);
}

/* ---- signals that are requests to the script ---- */

static void on_usr1(int sig)
{
    (void)sig;
    usr1_came = 1;
}

static void catch_usr1(void)
{
    struct sigaction how;
    memset(&how, 0, sizeof how);
    sigemptyset(&how.sa_mask);
    how.sa_flags = SA_RESTART;
    how.sa_handler = on_usr1;
    sigaction(SIGUSR1, &how, NULL);
    catches_usr1 = true;
}

/* Without memory the call waits on. */
static bool answer_listener(const char *json)
{
    if (!listener || modalua_reply_json(listener, json) != MODALUA_OK)
        return false;
    listener = NULL;
    return true;
}

void signals_next(void *user, const char *arguments, modalua_reply *reply)
{
    (void)user;
    (void)arguments;
    answer_listener("null");
    if (listener || modalua_reply_keep(reply) != MODALUA_OK)
        return;
    listener = reply;
    signals_note(true); /* has no effect when a signal has been noted */
    if (!catches_usr1)
        catch_usr1();
}

void signals_tell(void)
{
    if (has_noted && !told_stop)
        told_stop = answer_listener("\"stop\"");
    else if (usr1_came && answer_listener("\"progress\""))
        usr1_came = 0;
}

/* A signal that was noted, and was not asked for, cancels the run after all. */
static void stop_polling(void)
{
    signals_note(false);
    if (has_noted && !told_stop && interrupted_runtime)
        modalua_cancel(interrupted_runtime);
}

void signals_poll(void *user, const char *arguments, modalua_reply *reply)
{
    (void)user;
    if (strcmp(arguments, "[false]") == 0) {
        stop_polling();
        return;
    }
    signals_note(true);
    if (!catches_usr1)
        catch_usr1();
    if (has_noted && !told_stop)
        told_stop = modalua_reply_json(reply, "\"stop\"") == MODALUA_OK;
    else if (usr1_came && modalua_reply_json(reply, "\"progress\"") == MODALUA_OK)
        usr1_came = 0;
}

void signals_release(void)
{
    watchdog_rest();
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    if (catches_usr1)
        signal(SIGUSR1, SIG_DFL);
    catches_usr1 = false;
    set_optional(false);
    answer_listener("null");
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

bool signals_end_session(void)
{
    return last_signal == SIGTERM || last_signal == SIGHUP;
}
