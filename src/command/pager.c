#include "command/pager.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NOT_FOUND = 127 }; /* the shell's status */

/* How many lines the text takes on a terminal of that width, at least if all letters are narrow. */
static size_t lines_of(const char *text, size_t size, size_t width)
{
    size_t lines = 0, column = 0;
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '\n') {
            lines++;
            column = 0;
        } else if (((unsigned char)text[i] & 0xC0) != 0x80 && ++column > width) {
            lines++;
            column = 1;
        }
    }
    return lines;
}

static bool fits(const char *text, size_t size)
{
    struct winsize window;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) != 0 || window.ws_col == 0 || window.ws_row == 0)
        return true;
    return lines_of(text, size, window.ws_col) < window.ws_row;
}

/* False: there is no such program. */
static bool page(const char *command, const char *text, size_t size)
{
    void (*before)(int) = signal(SIGPIPE, SIG_IGN); /* it may be left before the end */
    FILE *pager;
    int status = 0;
    fflush(stdout);
    pager = popen(command, "w");
    if (pager) {
        fwrite(text, 1, size, pager);
        status = pclose(pager);
    }
    signal(SIGPIPE, before);
    return pager && !(WIFEXITED(status) && WEXITSTATUS(status) == NOT_FOUND);
}

void pager_show(const char *text, size_t size, bool environment)
{
    static const char less[] =
        "command -v less >/dev/null 2>&1 || exit 127; LESSHISTFILE=- exec less -R";
    const char *chosen = environment ? getenv("PAGER") : NULL;
    bool none = chosen && !chosen[0];
    if (!none && isatty(STDOUT_FILENO) && !fits(text, size) &&
        page(chosen ? chosen : less, text, size))
        return;
    fwrite(text, 1, size, stdout);
    fflush(stdout);
}
