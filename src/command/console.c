#include "command/console.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/text_width.h"
#include "command/terminal.h"

/* Of the process's one standard error and standard output. */
static bool bar_is_shown;
static bool bar_is_held;
static int
    output_error; /* why writing to standard output failed for the first time; 0 = it has not */
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
    console_print(text, size);
}

/* Flushes, as lua's print does. */
void console_print(const char *text, size_t size)
{
    errno = 0;
    if ((fwrite(text, 1, size, stdout) < size || fflush(stdout) != 0) && output_error == 0)
        output_error = errno;
}

int console_close(void)
{
    bool lost = ferror(stdout) != 0;
    /* After an io.write of the script, its errno is gone: a full device says it again. */
    if (lost && output_error == 0 && write(STDOUT_FILENO, "", 0) < 0)
        output_error = errno;
    errno = 0;
    if (fclose(stdout) != 0 && output_error == 0)
        output_error = errno;
    return output_error ? output_error : lost ? -1 : 0;
}

void console_show(FILE *to, const char *text, size_t size, shown_style style)
{
    char escape[SHOWN_ESCAPE];
    const char *end = text + size, *piece;
    while ((piece = shown_next(&text, end, style, escape, &size)))
        fwrite(piece, 1, size, to);
}

void console_complain(const char *format, ...)
{
    va_list arguments;
    char *message = NULL;
    int size;
    va_start(arguments, format);
    size = vasprintf(&message, format, arguments);
    va_end(arguments);
    console_clear();
    fputs("modalua: ", stderr);
    if (size >= 0)
        console_show(stderr, message, (size_t)size, SHOWN_LINE);
    fputc('\n', stderr);
    if (size >= 0)
        free(message);
}

void console_log(void *user, const char *line, size_t size)
{
    (void)user;
    console_complain("%.*s", (int)size, line);
}

void console_warn(void *user, const char *text, size_t size)
{
    (void)user;
    console_clear();
    console_show(stderr, text, size, SHOWN_LINES);
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
