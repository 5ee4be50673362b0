/* command/repl.h - the prompt: reads inputs from standard input and runs each by itself. The Lua
 * half decides what an input means and how its results look (modalua.evaluate). */
#ifndef COMMAND_REPL_H
#define COMMAND_REPL_H

#include <stdbool.h>

#include "modalua.h"

/* Reads and runs inputs until standard input ends. An error or Ctrl-C ends the present input, not
 * the session. With `environment`, environment variables name the history file and the pager.
 * Handles the process's signals meanwhile. Returns MODALUA_OK, or MODALUA_EXIT after an os.exit.
 * Blocks. */
int repl_run(modalua_runtime *rt, bool environment);

#endif
