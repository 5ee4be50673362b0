/* command/readline_keys.h - the keys of the prompt, where GNU readline edits the lines. */
#ifndef COMMAND_READLINE_KEYS_H
#define COMMAND_READLINE_KEYS_H

#include "command/readline_library.h"

/* Binds keys of any usual terminal to readline's functions and to those that readline.c has added. Call
 * it before rl_initialize, which reads the user's inputrc: that wins. */
void readline_keys_bind(const readline_library *rl);

#endif
