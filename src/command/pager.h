/* command/pager.h - texts that may be longer than the terminal. */
#ifndef COMMAND_PAGER_H
#define COMMAND_PAGER_H

#include <stdbool.h>
#include <stddef.h>

/* Writes the text to standard output, through the user's pager when it is a terminal that the text
 * does not fit. environment: $PAGER counts (empty: no pager); else, or without one, it is less,
 * which is told to write nothing to disk. Without a pager the text is just written. Blocks. */
void pager_show(const char *text, size_t size, bool environment);

#endif
