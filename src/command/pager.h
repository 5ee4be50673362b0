/* command/pager.h - shows texts that may be longer than the terminal. */
#ifndef COMMAND_PAGER_H
#define COMMAND_PAGER_H

#include <stdbool.h>
#include <stddef.h>

/* Writes the text to standard output; through a pager when standard output is a terminal and the
 * text does not fit into its window. The pager is less, which keeps no history file; with
 * `environment` it is $PAGER instead, if that is set (an empty one: no pager). When the pager is
 * not installed, just writes the text. Blocks until the user leaves the pager. */
void pager_show(const char *text, size_t size, bool environment);

#endif
