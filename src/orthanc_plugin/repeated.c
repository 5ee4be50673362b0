#include "orthanc_plugin/repeated.h"

#include <stdio.h>
#include <string.h>

/* Seconds. After so long without a line, the next one is a first one again. */
enum { FIRST_PAUSE = 1, LONGEST_PAUSE = 600, QUIET = 600 };

static bool is_quiet(const repeated_line *l, double now)
{
    return l->held == 0 && (l->pause == 0 || now >= l->next + QUIET);
}

/* A line is written now. */
static void begin_pause(repeated_line *l, double now)
{
    l->pause = l->pause == 0 || now >= l->next + QUIET ? FIRST_PAUSE : 2 * l->pause;
    if (l->pause > LONGEST_PAUSE)
        l->pause = LONGEST_PAUSE;
    l->next = now + l->pause;
}

/* How long " in 1.5 ms" or " in 2.5 s" is when the line begins with it; else 0. */
static size_t time_size(const char *line)
{
    size_t size;
    if (strncmp(line, " in ", 4) != 0)
        return 0;
    size = 4 + strspn(line + 4, "0123456789.");
    if (size > 4 && strncmp(line + size, " ms", 3) == 0)
        return size + 3;
    return size > 4 && strncmp(line + size, " s", 2) == 0 ? size + 2 : 0;
}

/* A line of a request tells how long it took, which is never the same. */
static bool is_same(const char *a, const char *b)
{
    for (;; a++, b++) {
        a += time_size(a);
        b += time_size(b);
        if (*a != *b || *a == '\0')
            return *a == *b;
    }
}

/* Where this text is counted. */
static repeated_line *find_line(repeated *r, double now, const char *line)
{
    repeated_line *free_one = NULL;
    for (size_t i = 0; i < REPEATED_TEXTS; i++) {
        repeated_line *l = &r->lines[i];
        if (l->pause != 0 && is_same(l->text, line))
            return l;
        if (!free_one && is_quiet(l, now))
            free_one = l;
    }
    return free_one ? free_one : &r->lines[REPEATED_TEXTS];
}

void repeated_add(repeated *r, double now, const char *line)
{
    repeated_line *l = find_line(r, now, line);
    if (is_quiet(l, now))
        *l = (repeated_line){ .next = now };
    snprintf(l->text, sizeof l->text, "%s", line);
    l->held++;
}

void repeated_show(const repeated *r, size_t place, text *t)
{
    const repeated_line *l = &r->lines[place];
    if (l->held > 1)
        text_format(t, "%s (the last of %lu such lines)", l->text, l->held);
    else if (l->held == 1)
        text_format(t, "%s", l->text);
}

void repeated_take(repeated *r, double now, text *t)
{
    for (size_t i = 0; i <= REPEATED_TEXTS; i++)
        if (r->lines[i].held > 0 && now >= r->lines[i].next) {
            repeated_show(r, i, t);
            r->lines[i].held = 0;
            begin_pause(&r->lines[i], now);
            return;
        }
}

void repeated_flush(repeated *r, text *t)
{
    for (size_t i = 0; i <= REPEATED_TEXTS; i++)
        if (r->lines[i].held > 0) {
            repeated_show(r, i, t);
            r->lines[i].held = 0;
            return;
        }
}
