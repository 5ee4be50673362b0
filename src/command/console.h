/* command/console.h - what the command writes for people: output, log, warnings, and the bar of an
 * operation, which is on a terminal only and never in the way of the others. One thread. */
#ifndef COMMAND_CONSOLE_H
#define COMMAND_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>

#include "command/json_text.h"

/* The columns of the terminal that is standard output; 80 when it is none, or does not say. */
size_t console_width(void);

/* For modalua_config; `user` is not used. */
void console_write(void *user, const char *text, size_t size);
void console_log(void *user, const char *line, size_t size);
void console_warn(void *user, const char *text, size_t size);
void console_bar(void *user, const char *text, size_t size);

/* Takes the bar away, if there is one: before anything else is written to standard error. */
void console_clear(void);

/* While held, no bar is drawn: a question stands in its place. */
void console_hold_bar(bool held);

/* From now on console_write appends to this text; NULL: standard output again. */
void console_collect(buffer *into);

#endif
