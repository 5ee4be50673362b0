/* command/console.h - where the command's output goes: what scripts print to standard output; log
 * lines, warnings and progress bars to standard error. A progress bar is drawn on a terminal only,
 * and is removed before anything else is written. For one thread. */
#ifndef COMMAND_CONSOLE_H
#define COMMAND_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/shown.h"
#include "command/buffer.h"

/* Callbacks of modalua_config. `user` is not used. */
void console_write(void *user, const char *text, size_t size);
void console_log(void *user, const char *line, size_t size);
void console_warn(void *user, const char *text, size_t size);
void console_bar(void *user, const char *text, size_t size); /* a line, or up to eight */

/* Removes the progress bar, if one is shown. Call it before anything is written to standard error.
 */
void console_clear(void);

/* Moves the cursor to the beginning of a row without text, on the terminal `to`: the script, or a program that it
 * has started, may have printed a part of a line. */
void console_begin_row(FILE *to);

/* Removes the bar, but a terminal that knows synchronized updates shows that only at console_end_update,
 * together with what was written meanwhile, or before something is printed through the console. */
void console_begin_update(void);
void console_end_update(void);

/* Writes a text that may come from a server or from the user, harmless for a terminal. */
void console_show(FILE *to, const char *text, size_t size, shown_style style);

/* The same for a text of several lines, with a line end behind it. On a terminal it is broken at blanks. */
void console_show_wrapped(FILE *to, const char *text, size_t size);

/* Prints "modalua: ", the message and a line end on standard error, harmless for a terminal. On a terminal it
 * is broken at blanks; elsewhere it stays one line, so that grep finds all of it. */
void console_print_error(const char *message, size_t size, shown_style style);

/* The same for a message of one line that is formatted as by printf. */
__attribute__((format(printf, 1, 2))) void console_complain(const char *format, ...);

/* Prints to standard output, and remembers why that failed. */
void console_print(const char *text, size_t size);

/* From now on what scripts print and console_print goes into the file `target`, or to the shell command
 * behind its '|', until console_undivert, or until the command cannot be started. False: standard error says why
 * it does not. */
bool console_divert(const char *target);
bool console_is_diverted(void);
bool console_has_diverted(void);  /* something was printed there */
bool console_feeds_command(void); /* it goes to a command */
bool console_command_runs(void);  /* … which is running, and may have the terminal */

/* Waits for the end of that command. Does nothing when nothing is diverted. */
void console_undivert(void);

/* Closes standard output. Returns 0; errno, when something that was written to it is lost; or -1 when
 * the reason is not known. */
int console_close(void);

/* Whether a progress bar is shown. */
bool console_has_bar(void);

/* While held, no progress bar is drawn: a question stands in its place. */
void console_hold_bar(bool held);

/* From now on console_write appends to this buffer; NULL: it writes to standard output again. */
void console_collect(buffer *into);

#endif
