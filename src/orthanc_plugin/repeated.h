/* orthanc_plugin/repeated.h - lines of a log that come again and again: when a filter or a route fails, each request would add one, and so
 * would each request of a script that fails. The first line is written; those that follow are counted, and written as one line after 1, 2,
 * 4, … 600 seconds. */
#ifndef ORTHANC_PLUGIN_REPEATED_H
#define ORTHANC_PLUGIN_REPEATED_H

#include <stdbool.h>

#include "orthanc_plugin/text.h"

enum { REPEATED_SIZE = 1000 };

/* Zeroed at first. Not for two threads at a time. */
typedef struct repeated {
    double next,
        pause; /* when a line may be written, on any clock in seconds; how long the last wait was */
    unsigned long held; /* the lines that have not been written */
    char last[REPEATED_SIZE];
} repeated;

/* Adds what is to be written now of this line and of those that are held; nothing: it is held. */
void repeated_add(repeated *r, double now, const char *line, text *t);

/* Adds what is held, and may be written now. */
void repeated_take(repeated *r, double now, text *t);

/* Adds what is held. */
void repeated_show(const repeated *r, text *t);

#endif
