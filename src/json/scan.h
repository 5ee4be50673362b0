/* json/scan.h - one pass over a JSON text before a parser builds anything from it: is it JSON, and what
 * will it cost?
 *
 * The whole grammar of RFC 8259 is checked, so that a parser behind it cannot fail on a text that
 * passed. Also refused: invalid UTF-8, surrogates without their partner, a byte order mark,
 * integers that do not fit into 64 bits, floats that do not fit into a double. Knows no Lua,
 * allocates nothing, needs no terminating zero.
 */
#ifndef JSON_SCAN_H
#define JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#define JSCAN_TEXT_MAX     ((size_t)64 << 20) /* bytes */
#define JSCAN_DEPTH_MAX    200                /* containers in one another */
#define JSCAN_MESSAGE_SIZE 160
#define JSCAN_TOKEN_SIZE   32

typedef struct json_scan_facts {
    size_t arrays; /* the empty ones too */
    size_t empty_arrays;
    size_t numbers;       /* the wide integers too */
    size_t wide_integers; /* beyond 2^53 either way: a double may not hold them */
    size_t depth;         /* 0 = the text is a single scalar */
    size_t heap; /* bytes: at no time does building the value with lua-cjson, marks included, hold
                    more of Lua's heap */
    size_t
        churn; /* bytes: what is taken and given back on the way, as tables grow; on top of heap */
} json_scan_facts;

/* True: the text is JSON, facts are set. False: message says what is wrong, at which line and
 * column (both from 1, in characters). */
bool json_scan(const char *text, size_t size, json_scan_facts *facts,
               char message[JSCAN_MESSAGE_SIZE]);

/* Copies a text that passed, with every empty array as `["TOKEN"]` and every wide integer as
 * `"TOKENdigits"`. The token is a string of JSCAN_TOKEN_SIZE plain characters. Returns the size of
 * the copy; `out` has room for json_scan_marked_room(). */
size_t json_scan_mark(const char *text, size_t size, const char *token, char *out);
size_t json_scan_marked_room(const json_scan_facts *facts, size_t size);

/* Where the run of string characters ends that need no look: at a quote, a backslash, a control
 * character, a byte beyond ASCII, or `end`. */
const char *json_scan_plain_end(const char *at, const char *end);

#endif
