/* command/signals.h - Ctrl-C and SIGTERM of the process, and the end of all patience. One runtime. */
#ifndef COMMAND_SIGNALS_H
#define COMMAND_SIGNALS_H

#include <stdbool.h>

#include "modalua.h"

/* From now on SIGINT and SIGTERM cancel what runs in rt: the second one kills it, and the process if
 * that does not help; the third is the system's own. Nothing has been noted yet. */
void signals_catch(modalua_runtime *rt);

/* The system's own way again. */
void signals_release(void);

/* The run_seconds of the runtimes that will be given to signals_catch: a run that cannot be stopped
 * then takes the process with it. */
void signals_set_limit(double seconds);

/* While on, the first SIGINT or SIGTERM is only noted, for whoever asks; the next one acts. */
void signals_note(bool on);

/* Whether one has been noted, and has not been forgotten. */
bool signals_noted(void);
void signals_forget(void);

/* The last one since signals_catch; 0 = none. */
int signals_last(void);

#endif
