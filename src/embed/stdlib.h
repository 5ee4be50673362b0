/* embed/stdlib.h - the functions of Lua's standard library that are different in a state that the
 * library owns: print and warn write to the host; os.exit ends the run; pcall, xpcall and
 * coroutine.* let a kill through, and behave inside a task as they do in a main program. In a
 * runtime whose runs can be stopped at any point, setmetatable refuses __gc, and debug.sethook is
 * refused. */
#ifndef EMBED_STDLIB_H
#define EMBED_STDLIB_H

#include <lua.h>
#include <stdbool.h>

#include "base/host_thread.h"
#include "modalua.h"

/* The callbacks of the host that receive output. NULL: the output is dropped. */
typedef struct stdlib_output {
    host_thread *thread; /* lent to them */
    modalua_write_fn write, warn;
    void *user;
    bool warnings;        /* they are turned on (warn "@on") */
    bool warning_goes_on; /* the next piece belongs to the same warning */
} stdlib_output;

/* Replaces these functions in the globals; luaL_openlibs has been called. `host` must outlive the
 * state. [-0, +0, m] */
void stdlib_open(lua_State *L, stdlib_output *host);

#endif
