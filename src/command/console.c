#include "command/console.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/terminal.h"
#include "base/text_width.h"
#include "base/text_wrap.h"

enum { BAR_LINES_MAX = 8, BAR_REMOVAL_MAX = 64 };

/* Of the process's one standard error and standard output. */
static size_t bar_columns[BAR_LINES_MAX]; /* the widths of the lines of the bar */
static size_t bar_lines;                  /* how many it has; 0 = none is shown */
static bool bar_is_held, update_is_open;
static buffer bar_text;  /* the text of the bar that was drawn last */
static size_t bar_width; /* the columns that the terminal had then; 0 = the text is not known */
static int
    output_error; /* why writing to standard output failed for the first time; 0 = it has not */
static buffer *collected;  /* takes the place of standard output; NULL = it does not */
static FILE *diverted;     /* the same */
static char *next_command; /* the same, and it is not running yet */
static bool diverted_to_command, has_diverted;

/* The rows above the cursor that the bar takes now. Where the window has become narrower since it was
 * drawn, its lines are wrapped. */
static size_t bar_rows_above(void)
{
    size_t width = terminal_width(STDERR_FILENO), rows = 0;
    for (size_t i = 0; i < bar_lines; i++)
        rows += bar_columns[i] > width ? (bar_columns[i] + width - 1) / width : 1;
    return rows - 1;
}

/* What removes the bar from the terminal; at most `size` bytes, with a NUL at the end. */
static void bar_removal(char *text, size_t size)
{
    size_t rows = bar_lines > 0 ? bar_rows_above() : 0;
    char up[BAR_REMOVAL_MAX] = "";
    if (rows > 0)
        snprintf(up, sizeof up, "\033[%zuA", rows);
    snprintf(text, size, "%s%s", up, bar_lines == 0 ? "" : bar_lines > 1 ? "\r\033[J" : "\r\033[K");
    bar_lines = 0;
}

void console_end_update(void)
{
    if (update_is_open)
        fputs("\033[?2026l", stderr);
    update_is_open = false;
}

void console_clear(void)
{
    char removal[BAR_REMOVAL_MAX];
    bar_removal(removal, sizeof removal);
    fputs(removal, stderr);
    console_end_update();
}

/* As many blanks as a row has columns end in the next row behind a part of a line, and else in the same
 * one. */
void console_begin_row(FILE *to)
{
    fflush(stdout);
    fprintf(to, "%*s\r\033[K", (int)terminal_width(fileno(to)), "");
    fflush(to);
}

void console_begin_update(void)
{
    fputs("\033[?2026h", stderr);
    console_clear();
    update_is_open = true;
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

/* ---- diverted output ---- */

/* A command is started when something is printed: a pager would take the terminal from the prompt. */
bool console_divert(const char *target)
{
    console_undivert();
    diverted_to_command = target[0] == '|';
    has_diverted = false;
    if (diverted_to_command)
        next_command = strdup(target + 1);
    else
        diverted = fopen(target, "we");
    if (!console_is_diverted())
        console_complain("%s: %s", target, strerror(errno));
    return console_is_diverted();
}

bool console_is_diverted(void)
{
    return diverted || next_command;
}

bool console_feeds_command(void)
{
    return console_is_diverted() && diverted_to_command;
}

bool console_command_runs(void)
{
    return diverted && diverted_to_command;
}

bool console_has_diverted(void)
{
    return has_diverted;
}

static void start_command(void)
{
    fflush(stdout);
    diverted = popen(next_command, "we");
    if (!diverted)
        console_complain("%s: %s", next_command, strerror(errno));
    free(next_command);
    next_command = NULL;
}

/* The command may end before it has read everything: that is no error, and its signal no Ctrl-C. False: the
 * command could not be started, and from now on nothing is diverted. */
static bool print_diverted(const char *text, size_t size)
{
    void (*before)(int);
    if (next_command)
        start_command(); /* first: it would inherit an ignored signal */
    if (!diverted)
        return false;
    before = signal(SIGPIPE, SIG_IGN);
    fwrite(text, 1, size, diverted);
    fflush(diverted);
    has_diverted = true;
    signal(SIGPIPE, before);
    return true;
}

void console_undivert(void)
{
    bool lost = diverted && ferror(diverted) && !diverted_to_command;
    errno = 0;
    if (diverted && diverted_to_command)
        pclose(diverted);
    else if (diverted && fclose(diverted) != 0)
        lost = true;
    free(next_command);
    next_command = NULL;
    diverted = NULL;
    if (lost)
        console_complain("the output could not be written: %s",
                         errno ? strerror(errno) : "a part of it is lost");
}

/* ---- standard output ---- */

/* Flushes, as lua's print does. */
void console_print(const char *text, size_t size)
{
    if (console_is_diverted() && print_diverted(text, size))
        return;
    errno = 0;
    if ((fwrite(text, 1, size, stdout) < size || fflush(stdout) != 0) && output_error == 0)
        output_error = errno;
}

int console_close(void)
{
    bool lost = ferror(stdout) != 0;
    free(bar_text.data);
    bar_text = (buffer){ 0 };
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

static void show_wrapped(FILE *to, const char *text, size_t size, shown_style style)
{
    buffer shown = { 0 };
    text_wrap w = { NULL, NULL, terminal_width(fileno(to)), 0, false };
    const char *row;
    size_t indent;
    if (!isatty(fileno(to)) || !buffer_add_shown(&shown, text, size, style) || !shown.data) {
        console_show(to, text, size, style);
        fputc('\n', to);
    } else {
        w.at = shown.data;
        w.end = shown.data + shown.size;
    }
    while (text_wrap_next(&w, &row, &size, &indent))
        fprintf(to, "%*s%.*s\n", (int)indent, "", (int)size, row);
    free(shown.data);
}

void console_show_wrapped(FILE *to, const char *text, size_t size)
{
    show_wrapped(to, text, size, SHOWN_LINES);
}

void console_print_error(const char *message, size_t size, shown_style style)
{
    static const char name[] = "modalua: ";
    buffer line = { 0 };
    console_clear();
    if (buffer_add(&line, name, sizeof name - 1) && buffer_add(&line, message, size)) {
        show_wrapped(stderr, line.data, line.size, style);
    } else {
        fputs(name, stderr);
        console_show(stderr, message, size, style);
        fputc('\n', stderr);
    }
    free(line.data);
}

void console_complain(const char *format, ...)
{
    static const char no_memory[] = "there is no memory for an error message";
    va_list arguments;
    char *message = NULL;
    int size;
    va_start(arguments, format);
    size = vasprintf(&message, format, arguments);
    va_end(arguments);
    if (size < 0) {
        console_print_error(no_memory, sizeof no_memory - 1, SHOWN_LINE);
        return;
    }
    console_print_error(message, (size_t)size, SHOWN_LINE);
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

bool console_has_bar(void)
{
    return bar_lines > 0;
}

/* Adds a line of the bar. It must not wrap: console_clear counts rows. The last column stays free,
 * because some terminals wrap as soon as it is filled. */
static bool add_line(buffer *b, const char *text, size_t size)
{
    size_t fitting = text_width_fitting(text, size, terminal_width(STDERR_FILENO) - 1);
    bar_columns[bar_lines] = text_width_columns(text, fitting);
    return (bar_lines++ == 0 || buffer_add(b, "\n", 1)) && buffer_add(b, text, fitting);
}

/* Whether the bar that is shown has this text. The text is kept for the next call. */
static bool is_shown(const char *text, size_t size)
{
    bool same = bar_lines > 0 && size == bar_text.size && memcmp(text, bar_text.data, size) == 0 &&
                bar_width == terminal_width(STDERR_FILENO);
    bar_text.size = 0;
    bar_width = buffer_add(&bar_text, text, size) ? terminal_width(STDERR_FILENO) : 0;
    return same;
}

/* It is written at once, and only when it has changed, so that it does not flicker. */
void console_bar(void *user, const char *text, size_t size)
{
    const char *end = text + size, *line_end;
    char removal[BAR_REMOVAL_MAX];
    buffer b = { 0 };
    bool good;
    (void)user;
    if (bar_is_held || !isatty(STDERR_FILENO) || is_shown(text, size))
        return;
    if (bar_lines == 0 && size > 0)
        console_begin_row(stderr);
    bar_removal(removal, sizeof removal);
    good = buffer_add(&b, removal, strlen(removal));
    for (; good && text < end && bar_lines < BAR_LINES_MAX; text = line_end + 1) {
        line_end = memchr(text, '\n', (size_t)(end - text));
        line_end = line_end ? line_end : end;
        good = add_line(&b, text, (size_t)(line_end - text));
    }
    if (b.data)
        fwrite(b.data, 1, b.size, stderr);
    free(b.data);
}
