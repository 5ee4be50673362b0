/* base/text_wrap.h - breaks a text for people into rows, at blanks; never inside a path in quotes. Knows no
 * Lua. Any thread. */
#ifndef BASE_TEXT_WRAP_H
#define BASE_TEXT_WRAP_H

#include <stdbool.h>
#include <stddef.h>

/* A text that is being broken: {text, end of the text, columns}. */
typedef struct text_wrap {
    const char *at, *end;
    size_t width;
    size_t indent; /* of the rows that continue the present line */
    bool continues;
} text_wrap;

/* Takes the next row, which fits into the width, unless a word is longer than that. Before it belong
 * *indent blanks: the rows that continue a line are aligned with its second part, when two blanks separate
 * that from the first part, and else they stand a little behind the beginning of an indented line. False:
 * the text has ended; a text without characters has one row. */
bool text_wrap_next(text_wrap *w, const char **row, size_t *size, size_t *indent);

#endif
