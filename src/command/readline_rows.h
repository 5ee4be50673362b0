/* command/readline_rows.h - moves GNU readline's cursor in a text that has newlines. */
#ifndef COMMAND_READLINE_ROWS_H
#define COMMAND_READLINE_ROWS_H

#include <stdbool.h>
#include <stddef.h>

#include "command/readline_library.h"

/* The beginning of the row of the text in which the cursor is. */
size_t readline_rows_begin(const readline_library *rl);

/* To the beginning of the row, and from there to that of the text. */
void readline_rows_home(const readline_library *rl);

/* To the end of the row, and from there to that of the text. */
void readline_rows_end(const readline_library *rl);

/* To the row above or below, into the same column. False: there is none. */
bool readline_rows_up(const readline_library *rl);
bool readline_rows_down(const readline_library *rl);

#endif
