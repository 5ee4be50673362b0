/* command/watchdog.h - ends the process when a run of the command's cannot be stopped: a thread
 * that looks at it a second after its kill was due. One runtime at a time. Built on the public
 * header. */
#ifndef COMMAND_WATCHDOG_H
#define COMMAND_WATCHDOG_H

#include "modalua.h"

/* From now on rt is watched. limit is its run_seconds; 0 = none: then only an alert counts. */
void watchdog_watch(modalua_runtime *rt, double limit);

/* It is watched no longer, and may be destroyed. */
void watchdog_rest(void);

/* A kill has been asked for, by that signal: from now on the watchdog looks even without a limit.
 * Signal handlers. */
void watchdog_alert(int sig);

#endif
