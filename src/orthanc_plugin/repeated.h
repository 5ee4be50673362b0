/* orthanc_plugin/repeated.h - lines of a log that come again and again. When a filter or a route fails, each request
 * would add a line; so would each request of a script that fails. A text that is new is written at once. When it comes
 * again, it is counted, and it is written again after 1, 2, 4, … 600 seconds, with that number. Texts
 * that differ only in how long something took are the same one. Of texts that are all different, the first ones are
 * written. The others are counted together, and the last one stands for them. */
#ifndef ORTHANC_PLUGIN_REPEATED_H
#define ORTHANC_PLUGIN_REPEATED_H

#include <stdbool.h>

#include "orthanc_plugin/text.h"

enum { REPEATED_SIZE = 1000, REPEATED_TEXTS = 16 };

/* A text that has been written. */
typedef struct repeated_line {
    double next;        /* when it may be written again, in seconds of any clock */
    double pause;       /* how long the last wait was; 0 = there is no text here */
    unsigned long held; /* how often it has come since it was written */
    char text[REPEATED_SIZE];
} repeated_line;

/* Zeroed at first. Not for two threads at a time. The last one is for all texts that have no room of their own. */
typedef struct repeated {
    repeated_line lines[REPEATED_TEXTS + 1];
} repeated;

/* Counts this line. repeated_take writes it. */
void repeated_add(repeated *r, double now, const char *line);

/* Adds one line that is held and may be written now, and holds it no longer. Call it until it adds nothing. */
void repeated_take(repeated *r, double now, text *t);

/* Adds one line that is held, also when it may not be written yet, and holds it no longer. Call it until it adds
 * nothing. */
void repeated_flush(repeated *r, text *t);

/* Adds the line in that place as it is held, without a change. Nothing: none is held there. */
void repeated_show(const repeated *r, size_t place, text *t);

#endif
