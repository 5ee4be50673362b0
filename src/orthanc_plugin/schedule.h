/* orthanc_plugin/schedule.h - when a script is due. schedule.lua knows the times of the day, in the time zone of the script. */
#ifndef ORTHANC_PLUGIN_SCHEDULE_H
#define ORTHANC_PLUGIN_SCHEDULE_H

#include <time.h>

#include "orthanc_plugin/settings.h"

#define SCHEDULE_NEVER ((time_t)-1)

/* The time of the day of a script cannot be found: there is not enough memory, or its time zone is gone. */
#define SCHEDULE_UNKNOWN ((time_t)-2)

/* When a script that has not been started yet is due; or SCHEDULE_UNKNOWN. */
time_t schedule_first(const script_settings *s, time_t now);

/* When a script is due again that was started at `start` and has ended well; SCHEDULE_NEVER: it is done; or
 * SCHEDULE_UNKNOWN. */
time_t schedule_next(const script_settings *s, time_t start, time_t now);

/* When a script is started again that has failed so many times in a row, from 1: after 1, 2, 4, … 60 seconds. */
time_t schedule_again(unsigned failures, time_t now);

#endif
