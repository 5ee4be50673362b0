#include "base/terminal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* ---- its size ---- */

static bool terminal_size(int fd, struct winsize *size)
{
    return ioctl(fd, TIOCGWINSZ, size) == 0;
}

size_t terminal_width(int fd)
{
    struct winsize size;
    return terminal_size(fd, &size) && size.ws_col > 0 ? size.ws_col : TERMINAL_DEFAULT_WIDTH;
}

size_t terminal_height(int fd)
{
    struct winsize size;
    return terminal_size(fd, &size) ? size.ws_row : 0;
}

/* ---- what it can do ---- */

static bool terminal_is_dumb(void)
{
    const char *term = getenv("TERM");
    return !term || strcmp(term, "dumb") == 0;
}

bool terminal_has_user(void)
{
    return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
}

bool terminal_is_interactive(void)
{
    return terminal_has_user() && !terminal_is_dumb();
}

/* https://no-color.org */
bool terminal_wants_colour(void)
{
    const char *no_color = getenv("NO_COLOR");
    return !(no_color && *no_color) && !terminal_is_dumb();
}
