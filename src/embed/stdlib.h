/* embed/stdlib.h - the standard functions as states of ours have them: print and warn go to the
 * host, os.exit ends the run, pcall, xpcall and coroutine.* let a kill through and behave, inside a
 * task, as they do in a main program. Where runs can be stopped setmetatable takes no __gc, and
 * debug.sethook is refused. */
#ifndef EMBED_STDLIB_H
#define EMBED_STDLIB_H

#include <lua.h>
#include <stdbool.h>

#include "modalua.h"

/* Where output goes; NULL = nowhere. */
typedef struct stdlib_output {
    modalua_write_fn write, warn;
    void *user;
    bool warnings;        /* warn "@on" */
    bool warning_goes_on; /* the next piece belongs to the same warning */
} stdlib_output;

/* Replaces them in the globals, after luaL_openlibs. The host must outlive the state. [-0, +0, m]
 */
void stdlib_open(lua_State *L, stdlib_output *host);

#endif
