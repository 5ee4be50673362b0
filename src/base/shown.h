/* base/shown.h - makes a text harmless for a terminal: control characters, characters that change the
 * direction of writing, and bytes that are not UTF-8 are escaped. All that comes from a server or a
 * caller and that a person reads passes through here. Knows no Lua. */
#ifndef BASE_SHOWN_H
#define BASE_SHOWN_H

#include <stddef.h>

enum { SHOWN_ESCAPE = 16 }; /* room for an escape */

typedef enum shown_style {
    SHOWN_LINE,  /* one line: \n, \x1B, \u{202E} */
    SHOWN_LINES, /* the same, but line ends and tabs stay */
    SHOWN_JSON   /* JSON text stays JSON with the same meaning: \u001b, \u202e */
} shown_style;

/* How many bytes at the beginning of the text can be shown as they are. */
size_t shown_harmless(const char *text, size_t size, shown_style style);

/* Takes the next piece of the text that ends at `end`: *size bytes to show, and returns them. They are a
 * part of the text, or an escape in `escape`. *at moves behind what they stand for. NULL: *at is `end`.
 *
 *     for (const char *piece; (piece = shown_next(&at, end, style, escape, &size));) … */
const char *shown_next(const char **at, const char *end, shown_style style,
                       char escape[SHOWN_ESCAPE], size_t *size);

#endif
