#include "command/console.h"

#include <stdio.h>
#include <unistd.h>

#include "base/text_width.h"
#include "command/terminal.h"

/* Of the process's one standard error and standard output. */
static bool bar_is_shown;
static bool bar_is_held;
static buffer *collected; /* takes the place of standard output; NULL = it does not */

void console_clear(void)
{
    if (bar_is_shown)
        fputs("\r\033[K", stderr);
    bar_is_shown = false;
}

void console_collect(buffer *into)
{
    collected = into;
}

void console_write(void *user, const char *text, size_t size)
{
    (void)user;
    console_clear();
    if (collected && buffer_add(collected, text, size))
        return;
    fwrite(text, 1, size, stdout);
    fflush(stdout); /* as lua's print does */
}

void console_log(void *user, const char *line, size_t size)
{
    (void)user;
    console_clear();
    fprintf(stderr, "modalua: %.*s\n", (int)size, line);
}

void console_warn(void *user, const char *text, size_t size)
{
    (void)user;
    console_clear();
    fwrite(text, 1, size, stderr);
}

void console_hold_bar(bool held)
{
    console_clear();
    bar_is_held = held;
}

/* A bar must not wrap: console_clear removes one row only. The last column stays free, because some
 * terminals wrap as soon as it is filled. */
void console_bar(void *user, const char *text, size_t size)
{
    (void)user;
    if (bar_is_held || !isatty(STDERR_FILENO))
        return;
    console_clear();
    fwrite(text, 1, text_width_fitting(text, size, terminal_width(STDERR_FILENO) - 1), stderr);
    bar_is_shown = size > 0;
}
