/* json/number.h - whether Lua's integers and floats can hold a number of a JSON text. Knows no Lua.
 *
 * The functions take the characters from `at` to `end`, which must be a number as RFC 8259 defines
 * it.
 */
#ifndef JSON_NUMBER_H
#define JSON_NUMBER_H

#include <stdbool.h>

/* Where the decimal digits from `at` on end. */
const char *json_digits_end(const char *at, const char *end);

/* Whether an integer fits into 64 bits. */
bool json_integer_fits(const char *at, const char *end);

/* Whether a number is an integer above 2^53 or below -2^53: a double may not hold it exactly. */
bool json_integer_is_wide(const char *at, const char *end);

/* Whether a float without its sign is too large for a double. */
bool json_float_is_infinite(const char *at, const char *end);

#endif
