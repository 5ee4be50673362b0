/* command/readline_paint.h - colours of the line that is typed, and a hint below it. GNU readline draws
 * the line and moves the cursor. Behind that the same characters are written once more, in colours, to
 * the places where they stand, and the cursor returns: what readline knows of the terminal stays true.
 *
 * It draws nothing where it does not know these places for certain: with horizontal-scroll-mode, with a
 * mode in the prompt, with characters that readline does not draw as they are. */
#ifndef COMMAND_READLINE_PAINT_H
#define COMMAND_READLINE_PAINT_H

#include "command/editing.h"
#include "command/readline_library.h"

/* Draws for this editor from now on, if the user wants colours. Both arguments stay valid. */
void readline_paint_open(const readline_library *rl, line_editor *editor);
void readline_paint_close(void);

/* Removes the hint. Call it before anything but readline moves the cursor or prints. */
void readline_paint_remove_hint(void);

/* Moves the terminal's cursor behind the text, without a hint, so that what is printed next stands below it. Also
 * while nothing is drawn. */
void readline_paint_go_to_end(const readline_library *library);

/* Removes the hint, and draws nothing until it is called with false. */
void readline_paint_pause(bool paused);

/* The window has another size, and the place of the hint is unknown: removes it, and calls `handle`, in which
 * readline draws the line anew. It goes to the beginning of the line first, but only with its own function. */
void readline_paint_resize(void (*handle)(void));

#endif
