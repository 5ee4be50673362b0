#include "base/text_wrap.h"

#include <string.h>

#include "base/ascii.h"
#include "base/text_width.h"

enum { HANGING = 2 }; /* columns by which the rest of an indented line is indented more */

static size_t count_blanks(const char *text, const char *end)
{
    const char *at = text;
    while (at < end && *at == ' ')
        at++;
    return (size_t)(at - text);
}

/* The end of the first part of the line, with the blanks behind it: two or more; NULL: it has one part. */
static const char *end_of_first_part(const char *line, const char *end)
{
    const char *at = line + count_blanks(line, end);
    for (; at < end; at++) {
        size_t blanks = count_blanks(at, end);
        if (blanks >= 2)
            return at + blanks;
    }
    return NULL;
}

/* The columns by which the rows that continue the line are indented. */
static size_t indent_of(const char *line, const char *end, size_t width)
{
    const char *second = end_of_first_part(line, end);
    size_t columns = second ? text_width_columns(line, (size_t)(second - line)) : 0;
    size_t blanks = count_blanks(line, end);
    if (second && columns <= width / 2)
        return columns;
    return blanks > 0 ? blanks + HANGING : 0;
}

static bool is_of_word(char c)
{
    return ascii_is_letter(c) || ascii_is_digit(c);
}

/* The closing quote of the part in quotes that begins at `at`; NULL: none begins there. The apostrophe of
 * "server's" opens and closes nothing, as it stands inside a word; a quote before a blank opens nothing. */
static const char *end_of_quoted(const char *text, const char *at, const char *end)
{
    const char *close = at;
    if (*at != '\'' || at + 1 == end || at[1] == ' ' || (at > text && is_of_word(at[-1])))
        return NULL;
    while ((close = memchr(close + 1, '\'', (size_t)(end - close - 1))))
        if (close + 1 == end || !is_of_word(close[1]))
            return close;
    return NULL;
}

/* Where the row ends that begins the text: at the last blank that leaves it within the width, else at the
 * first one; `end` when there is none behind its first word. A path in quotes, '/mnt/old CDs/1', is not broken;
 * other text in quotes is, but a quote that closes it opens nothing. */
static const char *break_of(const char *text, const char *end, size_t width)
{
    const char *most = text + text_width_fitting(text, (size_t)(end - text), width);
    const char *word = text + count_blanks(text, end), *last = NULL;
    const char *behind = word; /* the last part in quotes */
    for (const char *at = word; at < end && !(last && at > most); at++) {
        const char *close = at >= behind ? end_of_quoted(text, at, end) : NULL;
        behind = close ? close + 1 : behind;
        if (close && memchr(at, '/', (size_t)(close - at)))
            at = close;
        if (*at == ' ' && at > word && (at <= most || !last))
            last = at;
    }
    return last ? last : end;
}

bool text_wrap_next(text_wrap *w, const char **row, size_t *size, size_t *indent)
{
    const char *line_end, *row_end, *rest;
    size_t width, n;
    if (!w->at)
        return false;
    line_end = memchr(w->at, '\n', (size_t)(w->end - w->at));
    line_end = line_end ? line_end : w->end;
    if (!w->continues)
        w->indent = indent_of(w->at, line_end, w->width);
    *indent = w->continues ? w->indent : 0;
    width = w->width > *indent ? w->width - *indent : 0;
    row_end = line_end;
    if (text_width_columns(w->at, (size_t)(line_end - w->at)) > width)
        row_end = break_of(w->at, line_end, width);
    *row = w->at;
    n = (size_t)(row_end - w->at);
    while (row_end < line_end && n > 0 && w->at[n - 1] == ' ')
        n--;
    *size = n;
    rest = row_end + count_blanks(row_end, line_end);
    w->continues = rest < line_end;
    w->at = w->continues ? rest : line_end < w->end ? line_end + 1 : NULL;
    return true;
}
