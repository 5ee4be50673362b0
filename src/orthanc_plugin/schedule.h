/* orthanc_plugin/schedule.h - when a script is due. Times of the day are those of the server's time zone. */
#ifndef ORTHANC_PLUGIN_SCHEDULE_H
#define ORTHANC_PLUGIN_SCHEDULE_H

#include <time.h>

#include "orthanc_plugin/settings.h"

#define SCHEDULE_NEVER ((time_t)-1)

/* When a script that has not been started yet is due. */
time_t schedule_first(const script_settings *s, time_t now);

/* When a script is due again that was started at `start` and has ended well; SCHEDULE_NEVER: it is done. */
time_t schedule_next(const script_settings *s, time_t start, time_t now);

/* When a script is started again that has failed so many times in a row, from 1: after 1, 2, 4, … 60 seconds. */
time_t schedule_again(unsigned failures, time_t now);

#endif
