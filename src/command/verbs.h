/* command/verbs.h - the verbs of the command. Each is a Lua file in lua/modalua/command/verbs; here
 * they are found, listed by --help, and run. */
#ifndef COMMAND_VERBS_H
#define COMMAND_VERBS_H

#include <stdbool.h>
#include <stdio.h>

#include "modalua.h"

/* The names of the verbs, ended by NULL. CMakeLists.txt generates the list from the names of the
 * files: a script starts without loading a verb. */
extern const char *const verb_names[];

/* Whether the word is the name of a verb. NULL is not. */
bool verbs_has(const char *word);

/* Prints the verbs as lines of --help. */
void verbs_print(FILE *to);

/* Runs the verb that the runtime's global `arg` names, with the words behind it. Blocks. `environment`: whether
 * $PAGER and the configuration file count. Returns as modalua_call does; MODALUA_EXIT when the verb failed:
 * modalua_exit_code has the exit status. */
int verbs_run(modalua_runtime *rt, bool environment);

/* For a word that names no script: says on standard error which verb the user may mean. False: no
 * verb has a similar name. */
bool verbs_suggest(modalua_runtime *rt, const char *word);

#endif
