#include "command/console.h"

#include <stdbool.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { WIDTH = 80 }; /* of a terminal that does not say */

static bool bar_is_shown; /* of the process's one standard error */
static bool bar_is_held;
static buffer *collected; /* what takes the place of standard output, or NULL */

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

void console_write(void *user, const char *bytes, size_t size)
{
    (void)user;
    console_clear();
    if (collected && buffer_add(collected, bytes, size))
        return;
    fwrite(bytes, 1, size, stdout);
    fflush(stdout); /* as lua's print */
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

size_t console_width(void)
{
    struct winsize window;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0 ? window.ws_col
                                                                               : WIDTH;
}

/* What fits in one line: a longer one would leave its first part behind. */
static size_t fitting(const char *text, size_t size)
{
    struct winsize window;
    size_t width = WIDTH;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 1)
        width = window.ws_col;
    if (size < width)
        return size;
    for (size = width - 1; size > 0 && ((unsigned char)text[size] & 0xC0) == 0x80;)
        size--; /* not in the middle of a letter */
    return size;
}

void console_bar(void *user, const char *text, size_t size)
{
    (void)user;
    if (bar_is_held || !isatty(STDERR_FILENO))
        return;
    console_clear();
    fwrite(text, 1, fitting(text, size), stderr);
    bar_is_shown = size > 0;
}
