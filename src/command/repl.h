/* command/repl.h - the prompt: lines from standard input, each a run of its own. What lines mean, and how
 * results look, is the Lua half's (lua/modalua/prompt/evaluate.lua). */
#ifndef COMMAND_REPL_H
#define COMMAND_REPL_H

#include <stdbool.h>

#include "modalua.h"

/* Whether there is a terminal to edit lines on. */
bool repl_on_terminal(void);

/* Reads and evaluates until the input ends; an error or Ctrl-C ends the line, not the session.
 * environment: it says where the history is, and which pager there is. Takes the process's signals
 * while it goes on. Returns MODALUA_OK, or MODALUA_EXIT when a line called os.exit. Blocks. */
int repl_run(modalua_runtime *rt, bool environment);

#endif
