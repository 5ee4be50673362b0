/* base/utf8.h - UTF-8 as RFC 3629 defines it: no surrogates, nothing above U+10FFFF, no overlong
 * forms. Knows no Lua. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The bytes of the character that starts at `at`: 1 to 4. 0: no valid character starts there. */
size_t utf8_size(const char *at, const char *end);

/* The same, and *code is the character's number; 0xFFFD when it is none. */
size_t utf8_decode(const char *at, const char *end, uint32_t *code);

/* Whether all of the text is valid. */
bool utf8_is_valid(const char *text, size_t size);

/* The size of the byte order mark with which some editors begin a text: 3, or 0 when there is none. */
size_t utf8_mark_size(const char *text, size_t size);

/* A text that comes byte by byte; {0} at its beginning. */
typedef struct utf8_stream {
    char bytes[4]; /* of a character that is not complete */
    size_t size;
} utf8_stream;

/* Takes the next byte. False: it makes the text invalid; the text goes on behind it. */
bool utf8_stream_add(utf8_stream *s, char byte);

/* Whether the byte is not the first one of a character. */
static inline bool utf8_is_continuation(char byte)
{
    return ((unsigned char)byte & 0xC0) == 0x80;
}

/* The largest size that is at most `limit` and splits no character of the text. */
size_t utf8_truncate(const char *text, size_t size, size_t limit);

#endif
