#include "orthanc_plugin/schedule.h"

#include <stdlib.h>
#include <string.h>

#include "orthanc_plugin/parts.h"
#include "orthanc_plugin/text.h"

enum { LONGEST_PAUSE = 60, HALF_A_DAY = 12 * 60 * 60 };

static void schedule_search(void *user, const char *name, modalua_reply *reply)
{
    (void)user;
    if (strcmp(name, "plugin.schedule") == 0)
        modalua_reply_text(reply, part_schedule, part_schedule_size);
}

static time_t ask(const char *question)
{
    time_t t = SCHEDULE_UNKNOWN;
    const char *answer = NULL;
    modalua_runtime *rt = NULL;
    modalua_config config;
    modalua_config_init(&config);
    config.search = schedule_search;
    if (modalua_create(&rt, &config) == MODALUA_OK &&
        modalua_call(rt, "plugin.schedule.next", question, &answer) == MODALUA_OK)
        t = answer && *answer != 'n' ? (time_t)strtoll(answer, NULL, 10) : SCHEDULE_NEVER;
    modalua_destroy(rt);
    return t;
}

/* The first moment behind `now`, and not before `least`, at that time of a day that is allowed. */
static time_t next_at(const script_settings *s, time_t now, time_t least)
{
    text t = { 0 };
    time_t next;
    text_format(&t, "{\"at\":%d,\"days\":%u,\"now\":%lld,\"least\":%lld", s->at, s->days,
                (long long)now, (long long)least);
    if (s->time_zone)
        text_member_string(&t, "zone", s->time_zone);
    text_add(&t, "}", 1);
    next = t.failed ? SCHEDULE_UNKNOWN : ask(t.data);
    text_free(&t);
    return next;
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
