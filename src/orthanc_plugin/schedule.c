#include "orthanc_plugin/schedule.h"

enum { LONGEST_PAUSE = 60, MOST_DAYS = 4000, HALF_A_DAY = 12 * 60 * 60 };

/* The first moment behind `now`, and not before `least`, at that time of a day that is allowed. mktime knows
 * when clocks are changed. */
static time_t next_at(const script_settings *s, time_t now, time_t least)
{
    struct tm today;
    if (!localtime_r(&now, &today))
        return SCHEDULE_NEVER;
    for (int day = 0; day < MOST_DAYS; day++) {
        struct tm then = { .tm_year = today.tm_year,
                           .tm_mon = today.tm_mon,
                           .tm_mday = today.tm_mday + day,
                           .tm_hour = s->at / 60,
                           .tm_min = s->at % 60,
                           .tm_isdst = -1 };
        time_t t = mktime(&then);
        if (t > now && t >= least && (s->days == 0 || s->days & 1u << then.tm_wday))
            return t;
    }
    return SCHEDULE_NEVER;
}

time_t schedule_first(const script_settings *s, time_t now)
{
    return s->at >= 0 ? next_at(s, now, now) : now;
}

time_t schedule_next(const script_settings *s, time_t start, time_t now)
{
    time_t next = start + (time_t)s->every;
    if (s->at >= 0)
        return next_at(s, now, next - HALF_A_DAY); /* the start may have been late */
    return s->every <= 0 ? SCHEDULE_NEVER : next > now ? next : now;
}

time_t schedule_again(unsigned failures, time_t now)
{
    time_t pause = failures > 6 ? LONGEST_PAUSE : (time_t)1 << (failures - 1);
    return now + (pause < LONGEST_PAUSE ? pause : LONGEST_PAUSE);
}
