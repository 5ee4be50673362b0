/* request/progress.h - the option `progress` of an operation: reports to a function of the script, or
 * shows a progress bar. */
#ifndef REQUEST_PROGRESS_H
#define REQUEST_PROGRESS_H

#include <lua.h>
#include <stdbool.h>

#include "engine/op.h"

typedef struct progress {
    bool on, bar;
    bool partial;       /* a part of a longer operation: there is no last report */
    double begun, next; /* when the operation began, and when the next report is due (clock_now) */
    double done, total; /* numbers of `unit`; below 0 = not known */
    const char *unit;   /* static: "bytes", "resources", "instances"; NULL = not known */
    const char *state;  /* static: "Pending", "Running", …; NULL = "Running" */
} progress;

/* Reads the option `progress` of the table at index `options` (nil = no options): true or a function.
 * Pushes the function that reports go to and returns true; false: the option is not given, and
 * nothing is pushed. Throws, naming `function`, on another value. [-0, +(0|1), v] */
bool progress_take(lua_State *L, int options, const char *function, progress *p);

/* Whether a report is due; there are at most ten a second. `state` is that of a job, which the report
 * will show ("Running" for an unknown one); NULL = the state is not known. */
bool progress_is_due(progress *p, const char *state);

/* Pushes the argument for the function that reports go to: the present state of the op. [-0, +1, m] */
void progress_push_report(lua_State *L, const op *o, progress *p);

/* The same for the last report. good: the op succeeded. [-0, +1, m] */
void progress_push_last(lua_State *L, const op *o, progress *p, bool good);

/* The same for an op that ends in a call (OP_CALL): pops the function on the top, and puts a function in
 * front of the call that makes it and then reports whether it has succeeded. [-1, +3, m] */
void progress_tell_after(lua_State *L, const op *o, progress *p);

/* Removes the bar of an op that ends without a last report. */
void progress_abandon(const loop *lp, progress *p);

/* show(text), for the Lua half. Draws a line in place of the last one; "" removes it. The host says
 * how; in a lua_State that modalua does not own the line goes to the terminal of stderr. */
int progress_show(lua_State *L);

/* show_lines(text), for the Lua half. The same with several lines. In a lua_State that modalua does not
 * own, only the first of them is drawn. */
int progress_show_lines(lua_State *L);

/* terminal_columns() -> integer | nil, for the Lua half. The width of the terminal of stderr; nil: it is
 * none. */
int progress_terminal_columns(lua_State *L);

#endif
