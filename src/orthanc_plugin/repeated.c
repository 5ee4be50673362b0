#include "orthanc_plugin/repeated.h"

#include <stdio.h>

/* Seconds. After so long without a line, the next one is a first one again. */
enum { FIRST_PAUSE = 1, LONGEST_PAUSE = 600, QUIET = 600 };

/* A line is written now. */
static void begin_pause(repeated *r, double now)
{
    r->pause = r->pause == 0 || now >= r->next + QUIET ? FIRST_PAUSE : 2 * r->pause;
    if (r->pause > LONGEST_PAUSE)
        r->pause = LONGEST_PAUSE;
    r->next = now + r->pause;
}

void repeated_show(const repeated *r, text *t)
{
    if (r->held > 1)
        text_format(t, "%s (the last of %lu such lines)", r->last, r->held);
    else if (r->held == 1)
        text_format(t, "%s", r->last);
}

void repeated_take(repeated *r, double now, text *t)
{
    if (r->held == 0 || now < r->next)
        return;
    repeated_show(r, t);
    r->held = 0;
    begin_pause(r, now);
}

void repeated_add(repeated *r, double now, const char *line, text *t)
{
    snprintf(r->last, sizeof r->last, "%s", line);
    r->held++;
    repeated_take(r, now, t);
}
