/* command/console.h - where the command's output goes: what scripts print to standard output; log
 * lines, warnings and progress bars to standard error. A progress bar is drawn on a terminal only,
 * and is removed before anything else is written. For one thread. */
#ifndef COMMAND_CONSOLE_H
#define COMMAND_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>

#include "command/buffer.h"

/* Callbacks of modalua_config. `user` is not used. */
void console_write(void *user, const char *text, size_t size);
void console_log(void *user, const char *line, size_t size);
void console_warn(void *user, const char *text, size_t size);
void console_bar(void *user, const char *text, size_t size);

/* Removes the progress bar, if one is shown. Call it before anything is written to standard error.
 */
void console_clear(void);

/* While held, no progress bar is drawn: a question stands in its place. */
void console_hold_bar(bool held);

/* From now on console_write appends to this buffer; NULL: it writes to standard output again. */
void console_collect(buffer *into);

#endif
