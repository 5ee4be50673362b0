#include "base/shown.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/ascii.h"
#include "base/utf8.h"

enum { REPLACEMENT_CHARACTER = 0xFFFD };

/* The controls of ASCII and of ISO 6429, the separators of lines, and what changes the direction of
 * writing: the reader would see another text. */
static bool is_harmful(uint32_t code, shown_style style)
{
    if (code == '\n' || code == '\t')
        return style == SHOWN_LINE;
    return code < ' ' || (code >= 0x7F && code < 0xA0) || code == 0x061C ||
           (code >= 0x200E && code <= 0x200F) || (code >= 0x2028 && code <= 0x202E) ||
           (code >= 0x2066 && code <= 0x2069);
}

size_t shown_harmless(const char *text, size_t size, shown_style style)
{
    const char *at = text, *end = text + size;
    while (at < end) {
        uint32_t code = (unsigned char)*at;
        size_t bytes = code < 0x80 ? 1 : utf8_decode(at, end, &code);
        if (bytes == 0 || is_harmful(code, style))
            break;
        at += bytes;
    }
    return (size_t)(at - text);
}

/* Writes the escape of the first character of a text that shown_harmless did not accept, size > 0.
 * Returns the bytes that the escape stands for. */
static size_t write_escape(const char *text, size_t size, shown_style style,
                           char escape[SHOWN_ESCAPE])
{
    static const char named[] = "\t\n\r", letters[] = "tnr";
    uint32_t code = (unsigned char)text[0];
    size_t bytes = code < 0x80 ? 1 : utf8_decode(text, text + size, &code);
    if (style == SHOWN_JSON)
        snprintf(escape, SHOWN_ESCAPE, "\\u%04x",
                 bytes == 0 ? REPLACEMENT_CHARACTER : (unsigned)code);
    else if (bytes > 1)
        snprintf(escape, SHOWN_ESCAPE, "\\u{%04X}", (unsigned)code);
    else
        snprintf(escape, SHOWN_ESCAPE, "\\x%02X", (unsigned char)text[0]);
    for (int i = 0; named[i] && style != SHOWN_JSON; i++)
        if (text[0] == named[i])
            snprintf(escape, SHOWN_ESCAPE, "\\%c", letters[i]);
    return bytes == 0 ? 1 : bytes;
}

const char *shown_next(const char **at, const char *end, shown_style style,
                       char escape[SHOWN_ESCAPE], size_t *size)
{
    const char *piece = *at;
    if (piece == end)
        return NULL;
    *size = shown_harmless(piece, (size_t)(end - piece), style);
    if (*size > 0) {
        *at += *size;
        return piece;
    }
    *at += write_escape(piece, (size_t)(end - piece), style, escape);
    *size = strlen(escape);
    return escape;
}
