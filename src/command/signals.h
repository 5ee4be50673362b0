/* command/signals.h - SIGINT (Ctrl-C), SIGTERM, SIGHUP (the terminal is closed) and SIGPIPE (the
 * reader of the output has gone). For one runtime at a time. */
#ifndef COMMAND_SIGNALS_H
#define COMMAND_SIGNALS_H

#include <stdbool.h>

#include "modalua.h"

/* From now on the first of these signals cancels the run of rt. The second one kills it; when that
 * does not help, the watchdog ends the process. The third one does what the system does by default.
 * Forgets earlier signals. */
void signals_catch(modalua_runtime *rt);

/* From now on the signals do what the system does by default. */
void signals_release(void);

/* The run_seconds of the runtimes given to signals_catch: the watchdog ends the process when a run
 * is not over soon after that time. 0 = no limit. */
void signals_set_limit(double seconds);

/* While on, the first signal is only noted; the next one cancels the run. */
void signals_note(bool on);

/* Whether a signal was noted, and not forgotten since. */
bool signals_noted(void);
void signals_forget(void);

/* A modalua_function, next_signal() -> "stop" | "progress" | nil: waits for the next signal that is a
 * request to the script. "stop" is the first signal that would have cancelled the run: the script ends
 * its work in good order, and the next such signal cancels. "progress" is SIGUSR1, which is caught from
 * the first call on, until signals_release. nil: the run is over, or another call has taken the place of
 * this one. `user` and the arguments are not used. */
void signals_next(void *user, const char *arguments, modalua_reply *reply);

/* The same for a run that is not driven in steps: it answers at once, with nil when there is nothing to
 * say. It catches the signals from the first call on, until it is called with false. */
void signals_poll(void *user, const char *arguments, modalua_reply *reply);

/* Answers the call of signals_next that waits, when there is something to say. For the thread that
 * drives the runtime, between two steps. */
void signals_tell(void);

/* The last signal since signals_catch; 0 = none. */
int signals_last(void);

/* From now on a file that reaches the limit of its size (ulimit -f) is an error of the write, and does
 * not end the process. Programs that this process starts do not inherit that. */
void signals_ignore_file_limit(void);

/* Whether the last signal ends the prompt: SIGTERM or SIGHUP. */
bool signals_end_session(void);

#endif
