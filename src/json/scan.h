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

#define JSON_TEXT_MAX     ((size_t)1 << 30) /* bytes of one text: lua-cjson counts them in an int */
#define JSON_DEPTH_MAX    200               /* arrays and objects inside one another */
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
    size_t largest;       /* churn of the object that grew most; in `heap` of a whole text */
} json_scan_facts;

/* Where a text that is a list can be divided into parts of about the same size. */
#define JSON_CUTS_MAX 256

typedef struct json_scan_cuts {
    size_t part;     /* bytes that a part has at least; set by the caller */
    size_t count;    /* 0 also when the text is no list */
    size_t elements; /* of the whole list */
    struct json_scan_cut {
        size_t at;              /* offset of the comma between two elements of the list */
        size_t elements;        /* number of elements before it */
        json_scan_facts before; /* of the text before it */
    } cuts[JSON_CUTS_MAX];
} json_scan_cuts;

/* True: the text is JSON, and *facts is set. False: the message says what is wrong, with the line
 * and the column, both counted from 1, in characters. `cuts`: is set too; NULL = not needed. */
bool json_scan(const char *text, size_t size, json_scan_facts *facts, json_scan_cuts *cuts,
               char message[JSON_MESSAGE_SIZE]);

/* The facts of the part before cut number `i` (after the last one: i = count) as a list of its own. `whole`
 * are those of the text. */
json_scan_facts json_scan_part(const json_scan_cuts *cuts, size_t i, const json_scan_facts *whole);

/* Where the plain characters from `at` on end: at a quote, a backslash, a control character, a byte
 * that is not ASCII, or `end`. */
const char *json_scan_plain_end(const char *at, const char *end);

#endif
