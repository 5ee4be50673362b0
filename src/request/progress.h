/* request/progress.h - how far an operation is, told to a function of the script's, or shown as a bar. */
#ifndef REQUEST_PROGRESS_H
#define REQUEST_PROGRESS_H

#include <lua.h>
#include <stdbool.h>

#include "engine/op.h"

typedef struct progress {
    bool on, bar;
    bool partial;       /* it is a part of a longer operation, and its end is not reported */
    double begun, next; /* on clock_now's clock: of the operation, and of the next report */
    double done, total; /* of `unit`; below 0 = not known */
    const char *unit;   /* static: "bytes", "resources", "instances"; NULL = not known */
    const char *state;  /* static: "Pending", "Running", …; NULL = "Running" */
} progress;

/* Reads the option `progress` of the table at index (nil = none): true, or a function. Pushes the
 * function that is to be told; false, and pushes nothing: nobody is. Throws, naming `function`, on
 * anything else. [-0, +(0|1), v] */
bool progress_take(lua_State *L, int options, const char *function, progress *p);

/* Whether it is time for a report: ten times a second at most. */
bool progress_is_due(const progress *p);

/* Tells the function on the top how far the op is. What it throws ends the op. [-1, +0, v] */
void progress_tell(lua_State *L, op *o, progress *p);

/* The same for the last time. [-1, +0, v] */
void progress_tell_end(lua_State *L, op *o, progress *p, bool good);

/* The op ends without a word: its bar is taken away. */
void progress_abandon(const loop *lp, progress *p);

/* A job's state in a static string. */
const char *progress_state(const char *state);

/* show(text). Shows a line in place of the last one, where the host wants bars; "" takes it away.
 * In a state that is not ours: on a terminal. */
int progress_show(lua_State *L);

#endif
