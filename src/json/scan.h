/* json/scan.h - one pass over a JSON text before lua-cjson builds anything from it: is it JSON, and
 * how much memory can it take?
 *
 * The whole grammar of RFC 8259 is checked, so that lua-cjson cannot fail on a text that passed.
 * Also refused: invalid UTF-8, surrogates without their partner, a byte order mark, integers that
 * do not fit into 64 bits, floats that do not fit into a double. Knows no Lua, allocates nothing,
 * needs no terminating zero.
 */
#ifndef JSON_SCAN_H
#define JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#define JSON_TEXT_MAX     ((size_t)64 << 20) /* bytes */
#define JSON_DEPTH_MAX    200                /* arrays and objects inside one another */
#define JSON_MESSAGE_SIZE 160
#define JSON_TOKEN_SIZE   32 /* of a placeholder (placeholder.h) */

typedef struct json_scan_facts {
    size_t arrays; /* with the empty ones */
    size_t empty_arrays;
    size_t numbers;       /* with the wide integers */
    size_t wide_integers; /* above 2^53 or below -2^53: a double may not hold them */
    size_t depth;         /* 0 = the text is a single scalar */
    size_t heap;          /* bytes: the most that Lua's heap grows by while lua-cjson builds the
                             value, placeholders included */
    size_t churn;         /* bytes that are taken and given back meanwhile, as tables grow; they are
                             not in `heap` */
} json_scan_facts;

/* True: the text is JSON, and *facts is set. False: the message says what is wrong, with the line
 * and the column, both counted from 1, in characters. */
bool json_scan(const char *text, size_t size, json_scan_facts *facts,
               char message[JSON_MESSAGE_SIZE]);

/* Where the plain characters from `at` on end: at a quote, a backslash, a control character, a byte
 * that is not ASCII, or `end`. */
const char *json_scan_plain_end(const char *at, const char *end);

#endif
