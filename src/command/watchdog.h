/* command/watchdog.h - ends the process when a run of the command cannot be stopped: a thread does
 * so when the run has had one second since it should have ended, not counting the time for which it
 * waited for a processor. For one runtime at a time. */
#ifndef COMMAND_WATCHDOG_H
#define COMMAND_WATCHDOG_H

#include "modalua.h"

/* From now on rt is watched. `limit` is its run_seconds. With 0 = none, the watchdog looks only
 * after a watchdog_alert. */
void watchdog_watch(modalua_runtime *rt, double limit);

/* The runtime is not watched any longer, and may be destroyed. */
void watchdog_rest(void);

/* This signal has asked for a kill: from now on the watchdog looks, even without a limit. For
 * signal handlers. */
void watchdog_alert(int sig);

#endif
