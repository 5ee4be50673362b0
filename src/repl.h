/* repl.h - the prompt: lines from standard input, each a run of its own. */
#ifndef REPL_H
#define REPL_H

#include "modalua.h"

/* Reads and evaluates until the input ends; an error or Ctrl-C ends the line, not the session.
 * `before` is called before each line is read, `after` at the end. Returns MODALUA_OK, or
 * MODALUA_EXIT when a line called os.exit. Blocks. */
int repl_run(modalua_runtime *rt, void (*before)(modalua_runtime *), void (*after)(void));

#endif
