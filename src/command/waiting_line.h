/* command/waiting_line.h - the line below an input that takes over a second: what is under way, and for
 * how long. It is redrawn in its place, and removed before anything else is printed. */
#ifndef COMMAND_WAITING_LINE_H
#define COMMAND_WAITING_LINE_H

#include <stdbool.h>

#include "modalua.h"

typedef struct waiting_line {
    bool on;
    double begun; /* on clock_now's clock */
    double next;  /* when the line may be drawn first */
    bool shown;
    unsigned quick; /* the last steps below the line that were short */
} waiting_line;

/* A run begins. wanted: the user sits at a terminal that can move its cursor, and no other program
 * draws on it. Even then there is no line when standard error is no terminal. */
void waiting_line_begin(waiting_line *w, bool wanted);

/* Continues the run as modalua_step does, for a short time, and draws the line when it is due. The line
 * is not there while Lua code runs, which may print. A progress bar of the script takes precedence. */
int waiting_line_step(modalua_runtime *rt, waiting_line *w);

#endif
