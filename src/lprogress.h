/* lprogress.h - how far an operation is, told to a function of the script's, or shown as a bar. */
#ifndef LPROGRESS_H
#define LPROGRESS_H

#include <lua.h>
#include <stdbool.h>

typedef struct call call;

/* Part of every call. */
typedef struct progress {
    bool on;
    double begun, next; /* on clock_now's clock */
    double done, total; /* of `unit`; below 0 = not known */
    const char *unit;   /* static: "bytes", "resources", "instances" */
    const char *state;  /* static: "Waiting", "Running", …; NULL = "Running" */
} progress;

/* Reads the option `progress` of the table at index (nil = none): true, or a function. The call at
 * index `call` keeps it. [-0, +0, v] */
void lprogress_read(lua_State *L, int options, int call, const char *function);

/* Tells how far the call is, but not more often than ten times a second. What the function throws
 * ends the operation. [-0, +0, v] */
void lprogress_report(lua_State *L, call *c);

/* A job's state in a static string. */
const char *lprogress_state(const char *state);

/* Tells for the last time, when the results of the call are on the stack. [-0, +0, v] */
void lprogress_end(lua_State *L, call *c, bool good);

/* The function on the top is what shows a bar. [-1, +0, m] */
void lprogress_set_bar(lua_State *L);

/* show(text). Shows a line in place of the last one, where the host wants bars; "" takes it away.
 * In a state that is not ours: on a terminal. */
int lprogress_show(lua_State *L);

#endif
