#include "json/number.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define EXACT_MAX    (UINT64_C(1) << 53)
#define EXACT_DIGITS 16 /* integers with fewer digits are below 2^53 */
#define FIT_DIGITS   19 /* integers with fewer digits fit into 64 bits; with more they do not */

/* The largest double is 1.7976931348623157e308: 309 digits before the point. */
#define DOUBLE_DIGITS 309
#define EXPONENT_MAX  100000000L /* no text is long enough to compensate for more by its digits */

const char *json_digits_end(const char *at, const char *end)
{
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    return at;
}

/* The absolute value of an integer of at most 19 digits, without its sign. */
static uint64_t magnitude(const char *at, const char *end)
{
    uint64_t value = 0;
    for (; at < end; at++)
        value = value * 10 + (uint64_t)(*at - '0');
    return value;
}

bool json_integer_fits(const char *at, const char *end)
{
    bool negative = *at == '-';
    at += negative;
    return end - at < FIT_DIGITS ||
           (end - at == FIT_DIGITS && magnitude(at, end) <= (uint64_t)INT64_MAX + negative);
}

bool json_integer_is_wide(const char *at, const char *end)
{
    at += *at == '-';
    return end - at >= EXACT_DIGITS && json_digits_end(at, end) == end &&
           magnitude(at, end) > EXACT_MAX;
}

/* The value of the digits behind "e", "e+" or "e-", up to EXPONENT_MAX. */
static long exponent_of(const char *at, const char *end)
{
    bool negative = end - at > 1 && at[1] == '-';
    long exponent = 0;
    for (; at < end; at++)
        if (*at >= '0' && *at <= '9' && exponent < EXPONENT_MAX)
            exponent = exponent * 10 + (*at - '0');
    return negative ? -exponent : exponent;
}

/* Reads the number as 0.DIGITS times ten to the power of `point`, without leading zeros. Numbers
 * from 1.797693134862315807937e308 on round to infinity. The first twenty of these digits decide
 * here: the few numbers between 1.7976931348623158079e308 and that border, which no double is
 * printed as, count as infinite too. */
bool json_float_is_infinite(const char *at, const char *end)
{
    static const char border[] = "17976931348623158079";
    char digits[sizeof border];
    size_t count = 0;
    long point = 0;
    bool fraction = false;

    for (; at < end && (*at | 0x20) != 'e'; at++) {
        if (*at == '.') {
            fraction = true;
        } else if (count == 0 && *at == '0') {
            point -= fraction;
        } else {
            if (count < sizeof border - 1)
                digits[count++] = *at;
            point += !fraction;
        }
    }
    point += exponent_of(at, end);
    if (count == 0 || point != DOUBLE_DIGITS)
        return count > 0 && point > DOUBLE_DIGITS;
    memset(digits + count, '0', sizeof border - 1 - count);
    return memcmp(digits, border, sizeof border - 1) >= 0;
}
