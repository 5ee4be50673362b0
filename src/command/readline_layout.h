/* command/readline_layout.h - where on the terminal GNU readline draws each character of a line. */
#ifndef COMMAND_READLINE_LAYOUT_H
#define COMMAND_READLINE_LAYOUT_H

#include <stddef.h>

/* Where the next character stands, counted from the beginning of the prompt. {0} with a width before the
 * prompt. */
typedef struct readline_layout {
    size_t width;       /* of the terminal */
    size_t row, column; /* of the next character */
} readline_layout;

/* Goes on to the character at the beginning of a text of `size` bytes, size > 0: one of two columns does
 * not stand at the end of a row. Returns its bytes. */
size_t readline_layout_reach(readline_layout *l, const char *text, size_t size);

/* Goes behind that character. */
void readline_layout_pass(readline_layout *l, const char *text, size_t size);

#endif
