/* orthanc/pattern.h - compares texts as DICOM's wildcards do (PS3.4 C.2.2.2.4), without regard to case
 * and to what a server may do to characters beyond ASCII. Only matching.c calls it. Knows no Lua. */
#ifndef ORTHANC_PATTERN_H
#define ORTHANC_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

/* Part of a text. */
typedef struct slice {
    const char *text;
    size_t size;
} slice;

static inline bool pattern_is_blank(char c)
{
    return (unsigned char)c <= ' ';
}

/* Whether a character ends a component of a name. */
static inline bool pattern_ends_component(char c)
{
    return c == '^' || c == '=';
}

/* Whether the text has a letter or digit of ASCII. */
bool pattern_has_word(slice s);

/* Whether the value matches the filter; true when that is in doubt, or the steps are used up. name:
 * blanks around '^' and '=' do not count. */
bool pattern_matches(slice filter, slice value, bool name, long *steps);

#endif
