/* base/terminal.h - the user's terminal: its size, and what it can do. */
#ifndef BASE_TERMINAL_H
#define BASE_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

/* The width of a terminal that does not report one. */
enum { TERMINAL_DEFAULT_WIDTH = 80 };

/* The columns of the terminal that is open at the descriptor; TERMINAL_DEFAULT_WIDTH when it is no
 * terminal, or reports no width. */
size_t terminal_width(int fd);

/* The rows of the terminal that is open at the descriptor; 0 when it is no terminal, or reports no
 * height. */
size_t terminal_height(int fd);

/* Whether a user reads and types here: standard input and output are a terminal, whose cursor perhaps cannot
 * move. */
bool terminal_has_user(void);

/* Whether the user can edit lines: standard input and output are a terminal that can move its
 * cursor. */
bool terminal_is_interactive(void);

/* Whether the user wants colours on a terminal: neither NO_COLOR nor TERM=dumb is set. */
bool terminal_wants_colour(void);

#endif
