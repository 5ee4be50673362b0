/* orthanc/pattern.h - whether a text matches a pattern with the wildcards '*' and '?' (PS3.4 C.2.2.2.4),
 * as servers may take it: without upper and lower case, and without accents. Knows no Lua. */
#ifndef ORTHANC_PATTERN_H
#define ORTHANC_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

/* Part of a text in UTF-8. */
typedef struct slice {
    const char *text;
    size_t size;
} slice;

/* Of names: whether the character is behind a component. */
static inline bool pattern_ends_component(char c)
{
    return c == '^' || c == '=';
}

typedef enum pattern_result {
    PATTERN_NO,
    PATTERN_DOUBT, /* it would match, had the pattern or the text lost characters on its way */
    PATTERN_YES
} pattern_result;

/* `name`: blanks around '^' and '=' do not count. *steps, which bounds the time, is decreased by what
 * the comparison costs; below 0 the result is a doubt. */
pattern_result pattern_compare(slice pattern, slice text, bool name, long *steps);

#endif
