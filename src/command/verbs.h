/* command/verbs.h - the verbs of the command that are written in Lua (lua/modalua/command/verbs.lua), and what they
 * are told of the terminal, of which the library knows nothing. Built on the public header. */
#ifndef COMMAND_VERBS_H
#define COMMAND_VERBS_H

#include <stdbool.h>
#include <stdio.h>

#include "modalua.h"

/* Whether the word is one of them; NULL is none. */
bool verbs_has(const char *word);

/* Writes a line for each: its name, its words, and what it does. */
void verbs_print(FILE *to);

/* Runs the one that the runtime's `arg` names, with the words behind it. Blocks. Returns as
 * modalua_call; MODALUA_EXIT gives the exit status of one that did not succeed. */
int verbs_run(modalua_runtime *rt);

/* After a script that cannot be opened: says on standard error which verb was meant, and returns
 * true; false when none is near. */
bool verbs_suggest(modalua_runtime *rt, const char *word);

#endif
