#include "command/pager.h"

#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/terminal.h"
#include "base/text_width.h"
#include "command/console.h"

enum { NOT_FOUND = 127 }; /* the shell's exit status for a missing program */

/* The bytes of a change of colour at the beginning of the text; 0 = there is none. */
static size_t colour_size(const char *text, size_t size)
{
    size_t at = 2;
    if (size < 2 || text[0] != '\033' || text[1] != '[')
        return 0;
    while (at < size && (isdigit((unsigned char)text[at]) || text[at] == ';'))
        at++;
    return at < size && text[at] == 'm' ? at + 1 : 0;
}

/* The rows that the text takes on a terminal of that width. */
static size_t rows_of(const char *text, size_t size, size_t width)
{
    size_t rows = 0, column = 0, columns, skipped;
    for (size_t at = 0; at < size;) {
        if (text[at] == '\n') {
            rows++;
            column = 0;
            at++;
            continue;
        }
        skipped = colour_size(text + at, size - at);
        at += skipped;
        if (skipped > 0)
            continue;
        at += text_width_character(text + at, size - at, &columns);
        column += columns;
        if (column > width) {
            rows++;
            column = columns;
        }
    }
    return rows;
}

static bool fits(const char *text, size_t size)
{
    size_t height = terminal_height(STDOUT_FILENO);
    return height == 0 || rows_of(text, size, terminal_width(STDOUT_FILENO)) < height;
}

static void on_signal(int sig)
{
    (void)sig;
}

/* Ctrl-C is for the pager. A handler, as an ignored signal would stay ignored in the pager. Keeps how the
 * signal was treated before. */
static void leave_interrupt(struct sigaction *before)
{
    struct sigaction how;
    memset(&how, 0, sizeof how);
    sigemptyset(&how.sa_mask);
    how.sa_flags = SA_RESTART;
    how.sa_handler = on_signal;
    sigaction(SIGINT, &how, before);
}

/* False: the pager could not be started. */
static bool page(const char *command, const char *text, size_t size)
{
    void (*before)(int);
    struct sigaction interrupt;
    FILE *pager;
    int status = 0;
    leave_interrupt(&interrupt);
    fflush(stdout);
    pager = popen(command, "we");      /* first: it would inherit an ignored signal */
    before = signal(SIGPIPE, SIG_IGN); /* the user may leave it before the end */
    if (pager) {
        fwrite(text, 1, size, pager);
        status = pclose(pager);
    }
    signal(SIGPIPE, before);
    sigaction(SIGINT, &interrupt, NULL);
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
    console_print(text, size);
}
