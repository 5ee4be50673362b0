#include "base/utf8.h"

#include <string.h>

size_t utf8_size(const char *at, const char *end)
{
    const unsigned char *p = (const unsigned char *)at;
    size_t left = (size_t)(end - at);
    if (left >= 1 && p[0] < 0x80)
        return 1;
    if (left < 2 || p[0] < 0xC2 || p[0] > 0xF4 || !utf8_is_continuation(at[1]))
        return 0;
    if (p[0] < 0xE0)
        return 2;
    if (left < 3 || !utf8_is_continuation(at[2]))
        return 0;
    if (p[0] < 0xF0) /* not overlong, not a surrogate */
        return (p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] > 0x9F) ? 0 : 3;
    if (left < 4 || !utf8_is_continuation(at[3]))
        return 0;
    /* not overlong, not above U+10FFFF */
    return (p[0] == 0xF0 && p[1] < 0x90) || (p[0] == 0xF4 && p[1] > 0x8F) ? 0 : 4;
}

size_t utf8_decode(const char *at, const char *end, uint32_t *code)
{
    static const unsigned char first_bits[] = { 0, 0x7F, 0x1F, 0x0F, 0x07 };
    size_t size = utf8_size(at, end);
    *code = size > 0 ? (unsigned char)at[0] & first_bits[size] : 0xFFFD;
    for (size_t i = 1; i < size; i++)
        *code = *code << 6 | ((unsigned char)at[i] & 0x3F);
    return size;
}

bool utf8_is_valid(const char *text, size_t size)
{
    const char *end = text + size;
    size_t n = 1;
    for (; text < end && n > 0; text += n)
        n = utf8_size(text, end);
    return n > 0;
}

size_t utf8_truncate(const char *text, size_t size, size_t limit)
{
    if (size <= limit)
        return size;
    while (limit > 0 && utf8_is_continuation(text[limit]))
        limit--;
    return limit;
}

bool utf8_stream_add(utf8_stream *s, char byte)
{
    bool valid = utf8_is_continuation(byte) == (s->size > 0);
    if (!valid)
        s->size = 0;
    s->bytes[s->size++] = byte;
    if (utf8_size(s->bytes, s->bytes + s->size) > 0) {
        s->size = 0;
    } else if (s->size == sizeof s->bytes || utf8_is_continuation(s->bytes[0])) {
        s->size = 0;
        valid = false;
    }
    return valid;
}

size_t utf8_mark_size(const char *text, size_t size)
{
    static const char mark[] = "\xEF\xBB\xBF";
    size_t mark_size = sizeof mark - 1;
    return size >= mark_size && memcmp(text, mark, mark_size) == 0 ? mark_size : 0;
}
