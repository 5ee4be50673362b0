/* base/text_width.h - how many columns a UTF-8 text takes on a terminal: two for a Chinese,
 * Japanese or Korean character, none for a combining mark. Knows no Lua. Any thread. */
#ifndef BASE_TEXT_WIDTH_H
#define BASE_TEXT_WIDTH_H

#include <stddef.h>

/* Measures the character at the start of a text of `size` bytes, size > 0: returns its bytes, and
 * sets *columns to its width, 0 to 2. A byte that is not UTF-8, and a character that the system
 * does not know, has the width 1. */
size_t text_width_character(const char *text, size_t size, size_t *columns);

/* The columns of the whole text. */
size_t text_width_columns(const char *text, size_t size);

/* The bytes of the longest beginning of the text that takes at most `columns` columns. */
size_t text_width_fitting(const char *text, size_t size, size_t columns);

#endif
