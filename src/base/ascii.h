/* base/ascii.h - classes of ASCII characters, whatever the locale: <ctype.h> depends on it. Knows
 * no Lua. */
#ifndef BASE_ASCII_H
#define BASE_ASCII_H

#include <stdbool.h>
#include <stddef.h>

/* A blank, a line end or another control character. */
static inline bool ascii_is_blank(char c)
{
    return (unsigned char)c <= ' ';
}

static inline bool ascii_is_control(char c)
{
    return (unsigned char)c < ' ' || c == 0x7F;
}

static inline bool ascii_is_letter(char c)
{
    c |= 0x20;
    return c >= 'a' && c <= 'z';
}

/* Whether one of the bytes is a control character. */
static inline bool ascii_has_control(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (ascii_is_control(text[i]))
            return true;
    return false;
}

/* Whether all of the bytes are ASCII. */
static inline bool ascii_is_all(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)text[i] > 0x7F)
            return false;
    return true;
}

static inline bool ascii_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The lower-case letter of an upper-case one; any other byte stays. */
static inline char ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* The value of a hexadecimal digit of either case, 0 to 15; -1: it is none. */
static inline int ascii_hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Reads a byte of the path of a URL, percent-decoded, and moves *at behind it. */
static inline char ascii_next_byte(const char **at)
{
    const char *p = *at;
    int high = p[0] == '%' ? ascii_hex_value(p[1]) : -1;
    int low = high >= 0 ? ascii_hex_value(p[2]) : -1;
    *at += low >= 0 ? 3 : 1;
    return low >= 0 ? (char)(high * 16 + low) : p[0];
}

#endif
