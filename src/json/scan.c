#include "json/scan.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/ascii.h"
#include "base/utf8.h"

/* What Lua 5.4 allocates on a 64-bit machine, each block rounded up to the 16 bytes that allocators
 * deal in. */
#define TABLE_COST 64 /* a Table has 56 bytes */
#define NODE_COST  24 /* a place in the hash part */
#define SLOT_COST  16 /* a place in the array part */
#define STRING_COST \
    41 /* header and terminator 25, rounding or bucket of the string table 16; the characters come \
          on top */
#define BUCKETS_COST 64 /* the string table as it doubles, for each string */
#define SHORT_STRING 40

#define KNOWN_KEYS       64
#define WIDE_DIGITS      16 /* integers with fewer digits are below 2^53 */
#define EXACT_MAX        (UINT64_C(1) << 53)
#define DOUBLE_MAGNITUDE 309        /* digits before the point of the largest double */
#define EXPONENT_MANY    100000000L /* no text has so many digits to make up for it */
#define ONES             UINT64_C(0x0101010101010101)

typedef unsigned char byte;

/* A key seen lately. Lua holds equal short strings once, and the rows of an answer repeat their
 * keys. */
typedef struct known_key {
    const byte *at;
    size_t size;
} known_key;

typedef struct scan {
    const byte *text, *at, *end;
    json_scan_facts facts;
    size_t largest; /* bytes of the largest hash part */
    size_t depth;
    char *message;
    bool is_object[JSCAN_DEPTH_MAX];
    uint32_t count[JSCAN_DEPTH_MAX]; /* elements so far */
    known_key keys[KNOWN_KEYS];
} scan;

/* ---- faults ---- */

static bool fault(scan *s, const byte *at, const char *what)
{
    size_t line = 1, column = 1;
    for (const byte *p = s->text; p < at; p++) {
        if (*p == '\n') {
            line++;
            column = 1;
        } else if (!utf8_is_continuation((char)*p)) {
            column++;
        }
    }
    snprintf(s->message, JSCAN_MESSAGE_SIZE, "line %zu, column %zu: %s", line, column, what);
    return false;
}

static bool is_word(byte c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' ||
           c == '.' || c == '+' || c == '-';
}

/* Says what stands there instead: a word of at most 20 characters, one character, or a byte's
 * number. */
static bool unexpected(scan *s, const char *expected)
{
    char what[JSCAN_MESSAGE_SIZE - 64];
    size_t word = 0;
    while (word < 20 && s->at + word < s->end && is_word(s->at[word]))
        word++;
    if (s->at == s->end)
        snprintf(what, sizeof what, "expected %s, found the end of the text", expected);
    else if (word > 0)
        snprintf(what, sizeof what, "expected %s, found '%.*s'", expected, (int)word,
                 (const char *)s->at);
    else if (*s->at > ' ' && *s->at < 0x7F)
        snprintf(what, sizeof what, "expected %s, found '%c'", expected, *s->at);
    else
        snprintf(what, sizeof what, "expected %s, found the byte 0x%02X", expected, *s->at);
    return fault(s, s->at, what);
}

/* ---- strings ---- */

/* Not zero when one of eight characters is not plain. It may blame a later one than the first,
 * never miss one. */
static uint64_t odd_ones(uint64_t w)
{
    uint64_t quote = w ^ (ONES * '"'), backslash = w ^ (ONES * '\\');
    return ((w - ONES * 0x20) | (quote - ONES) | (backslash - ONES) | w) & (ONES * 0x80);
}

static bool is_plain(byte c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

static const byte *plain_end(const byte *at, const byte *end)
{
    uint64_t w;
    while ((size_t)(end - at) >= sizeof w) {
        memcpy(&w, at, sizeof w);
        if (odd_ones(w))
            break;
        at += sizeof w;
    }
    while (at < end && is_plain(*at))
        at++;
    return at;
}

const char *json_scan_plain_end(const char *at, const char *end)
{
    return (const char *)plain_end((const byte *)at, (const byte *)end);
}

/* The code unit of the `\uXXXX` at p, or -1. */
static int32_t code_unit(const byte *p, const byte *end)
{
    int32_t unit = 0;
    if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
        return -1;
    for (int i = 2; i < 6; i++) {
        int digit = ascii_hex_value((char)p[i]);
        if (digit < 0)
            return -1;
        unit = unit * 16 + digit;
    }
    return unit;
}

static bool scan_unicode_escape(scan *s)
{
    int32_t unit = code_unit(s->at, s->end);
    if (unit < 0)
        return fault(s, s->at, "\\u must be followed by four hexadecimal digits");
    if (unit >= 0xD800 && unit <= 0xDBFF) {
        int32_t low = code_unit(s->at + 6, s->end);
        if (low < 0xDC00 || low > 0xDFFF)
            return fault(s, s->at, "a surrogate without its partner");
        s->at += 6;
    } else if (unit >= 0xDC00 && unit <= 0xDFFF) {
        return fault(s, s->at, "a surrogate without its partner");
    }
    s->at += 6;
    return true;
}

static bool scan_escape(scan *s)
{
    byte c = s->end - s->at >= 2 ? s->at[1] : 0;
    if (c == 'u')
        return scan_unicode_escape(s);
    if (c == 0 || !strchr("\"\\/bfnrt", c))
        return fault(s, s->at, "not an escape sequence of JSON");
    s->at += 2;
    return true;
}

/* One character that is not plain and not the closing quote. */
static bool scan_odd(scan *s)
{
    size_t size;
    if (*s->at == '\\')
        return scan_escape(s);
    if (*s->at < 0x20)
        return fault(s, s->at, "a control character in a string (it must be escaped)");
    size = utf8_size((const char *)s->at, (const char *)s->end);
    if (size == 0)
        return fault(s, s->at, "not valid UTF-8");
    s->at += size;
    return true;
}

static bool scan_string(scan *s)
{
    const byte *open = s->at++;
    for (;;) {
        s->at = plain_end(s->at, s->end);
        if (s->at == s->end)
            return fault(s, open, "a string without its closing quote");
        if (*s->at == '"')
            break;
        if (!scan_odd(s))
            return false;
    }
    s->at++;
    return true;
}

static void count_string(scan *s, size_t size)
{
    s->facts.heap += STRING_COST + size;
    s->facts.churn += BUCKETS_COST;
}

/* Whether the key, in its quotes, was seen lately; from now on it was. */
static bool is_known(scan *s, const byte *at, size_t size)
{
    known_key *known;
    if (size > SHORT_STRING)
        return false;
    known = &s->keys[(at[size - 2] * 31u + at[size / 2] * 7u + size) % KNOWN_KEYS];
    if (known->size == size && memcmp(known->at, at, size) == 0)
        return true;
    known->at = at;
    known->size = size;
    return false;
}

/* ---- numbers ---- */

static const byte *digits_end(const byte *at, const byte *end)
{
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    return at;
}

/* The size of an integer without its sign; at most 19 digits always fit. */
static uint64_t magnitude(const byte *at, const byte *end)
{
    uint64_t value = 0;
    for (; at < end; at++)
        value = value * 10 + (uint64_t)(*at - '0');
    return value;
}

/* Whether a number is an integer beyond 2^53. */
static bool is_wide(const byte *at, const byte *end)
{
    at += *at == '-';
    return end - at >= WIDE_DIGITS && digits_end(at, end) == end && magnitude(at, end) > EXACT_MAX;
}

static bool fits_64_bits(const byte *at, const byte *end)
{
    bool negative = *at == '-';
    at += negative;
    return end - at < 19 ||
           (end - at == 19 && magnitude(at, end) <= (uint64_t)INT64_MAX + negative);
}

/* Whether a float, without its sign, rounds to infinity. Twenty digits decide: no double is printed
 * between them and the true border. */
static bool is_infinite(const byte *at, const byte *end)
{
    static const char border[] = "17976931348623158079";
    long point = 0,
         exponent = 0; /* the number is 0.DIGITS times ten to the power of (point + exponent) */
    char digits[sizeof border];
    size_t count = 0;
    bool fraction = false, small;

    for (; at < end && (*at | 0x20) != 'e'; at++) {
        if (*at == '.') {
            fraction = true;
        } else if (count == 0 && *at == '0') {
            point -= fraction;
        } else {
            if (count < sizeof border - 1)
                digits[count++] = (char)*at;
            point += !fraction;
        }
    }
    small = end - at > 1 && at[1] == '-';
    for (; at < end; at++)
        if (*at >= '0' && *at <= '9' && exponent < EXPONENT_MANY)
            exponent = exponent * 10 + (*at - '0');
    point += small ? -exponent : exponent;
    if (count == 0 || point != DOUBLE_MAGNITUDE)
        return count > 0 && point > DOUBLE_MAGNITUDE;
    memset(digits + count, '0', sizeof border - 1 - count);
    return memcmp(digits, border, sizeof border - 1) >= 0;
}

static bool scan_digits(scan *s)
{
    const byte *from = s->at;
    s->at = digits_end(from, s->end);
    return s->at > from || unexpected(s, "a digit");
}

/* The part behind an integer that makes it a float. */
static bool scan_float_rest(scan *s)
{
    if (s->at < s->end && *s->at == '.') {
        s->at++;
        if (!scan_digits(s))
            return false;
    }
    if (s->at < s->end && (*s->at | 0x20) == 'e') {
        s->at++;
        if (s->at < s->end && (*s->at == '+' || *s->at == '-'))
            s->at++;
        if (!scan_digits(s))
            return false;
    }
    return true;
}

static bool scan_number(scan *s)
{
    const byte *from = s->at, *first = from + (*from == '-'), *integer_end;

    s->at = first;
    if (!scan_digits(s))
        return false;
    if (*first == '0' && s->at - first > 1)
        return fault(s, from, "a number with a leading zero");
    integer_end = s->at;
    if (!scan_float_rest(s))
        return false;
    s->facts.numbers++;
    if (s->at > integer_end)
        return !is_infinite(first, s->at) ||
               fault(s, from, "a number beyond the largest double (1.8e308)");
    if (!fits_64_bits(from, s->at))
        return fault(s, from, "an integer that does not fit into 64 bits");
    if (is_wide(from, s->at)) {
        s->facts.wide_integers++;
        count_string(s, JSCAN_TOKEN_SIZE + (size_t)(s->at - from));
    }
    return true;
}

/* ---- structure ---- */

static void skip_space(scan *s)
{
    const byte *at = s->at, *end = s->end;
    while (at < end && (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r'))
        at++;
    s->at = at;
}

static bool scan_string_value(scan *s)
{
    const byte *open = s->at;
    if (!scan_string(s))
        return false;
    count_string(s, (size_t)(s->at - open));
    return true;
}

static bool scan_literal(scan *s, const char *word)
{
    size_t size = strlen(word);
    if ((size_t)(s->end - s->at) < size || memcmp(s->at, word, size) != 0)
        return unexpected(s, "a value");
    s->at += size;
    return true;
}

static bool scan_key(scan *s)
{
    const byte *open = s->at;
    if (open == s->end || *open != '"')
        return unexpected(s, "a key in quotes");
    if (!scan_string(s))
        return false;
    if (!is_known(s, open, (size_t)(s->at - open)))
        count_string(s, (size_t)(s->at - open));
    skip_space(s);
    if (s->at == s->end || *s->at != ':')
        return unexpected(s, "':' after the key");
    s->at++;
    return true;
}

/* A part that grew to hold `count` elements was allocated with 1, 2, 4 ... places on the way. */
static void count_places(scan *s, size_t count, size_t cost)
{
    size_t places = 1;
    while (places < count)
        places *= 2;
    s->facts.heap += places * cost;
    s->facts.churn += (places - 1) * cost;
}

static void close_container(scan *s)
{
    size_t count = s->count[--s->depth], before = s->facts.churn;
    s->at++;
    s->facts.heap += TABLE_COST;
    if (!s->is_object[s->depth]) {
        s->facts.empty_arrays += count == 0;
        count_places(s, count, SLOT_COST);
    } else if (count > 0) {
        count_places(s, count, NODE_COST);
        if (s->facts.churn - before > s->largest)
            s->largest = s->facts.churn - before;
    }
}

/* Enters a container. *whole: it was empty and has been left again; else its first value follows.
 */
static bool scan_open(scan *s, bool is_object, bool *whole)
{
    if (s->depth == JSCAN_DEPTH_MAX)
        return fault(s, s->at, "more than 200 levels of arrays and objects");
    s->is_object[s->depth] = is_object;
    s->count[s->depth++] = 0;
    if (s->depth > s->facts.depth)
        s->facts.depth = s->depth;
    s->facts.arrays += !is_object;
    s->at++;
    skip_space(s);
    *whole = s->at < s->end && *s->at == (is_object ? '}' : ']');
    if (*whole) {
        close_container(s);
        return true;
    }
    s->count[s->depth - 1] = 1;
    return !is_object || scan_key(s);
}

/* The beginning of a value: all of a scalar or an empty container (*whole), or what stands before
 * the first value of a container. */
static bool scan_value(scan *s, bool *whole)
{
    skip_space(s);
    *whole = true;
    switch (s->at < s->end ? *s->at : 0) {
    case '"': return scan_string_value(s);
    case '{': return scan_open(s, true, whole);
    case '[': return scan_open(s, false, whole);
    case 't': return scan_literal(s, "true");
    case 'f': return scan_literal(s, "false");
    case 'n': return scan_literal(s, "null");
    case '-':
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
    case '7':
    case '8':
    case '9': return scan_number(s);
    default: return unexpected(s, "a value");
    }
}

/* Behind a value: leaves the containers that end here. True with depth > 0: a comma was passed,
 * another value follows. */
static bool scan_after(scan *s)
{
    while (s->depth > 0) {
        bool is_object = s->is_object[s->depth - 1];
        byte c;
        skip_space(s);
        c = s->at < s->end ? *s->at : 0;
        if (c == ',') {
            s->at++;
            s->count[s->depth - 1]++;
            if (!is_object)
                return true;
            skip_space(s);
            return scan_key(s);
        }
        if (c != (is_object ? '}' : ']'))
            return unexpected(s, is_object ? "',' or '}'" : "',' or ']'");
        close_container(s);
    }
    return true;
}

static bool scan_text(scan *s)
{
    do {
        bool whole;
        if (!scan_value(s, &whole) || (whole && !scan_after(s)))
            return false;
    } while (s->depth > 0);
    skip_space(s);
    return s->at == s->end || unexpected(s, "the end of the text");
}

bool json_scan(const char *text, size_t size, json_scan_facts *facts,
               char message[JSCAN_MESSAGE_SIZE])
{
    scan s;
    s.text = s.at = (const byte *)text;
    s.end = s.text + size;
    s.depth = 0;
    s.message = message;
    s.largest = 0;
    memset(&s.facts, 0, sizeof s.facts);
    memset(s.keys, 0, sizeof s.keys);
    if (size > JSCAN_TEXT_MAX) {
        snprintf(message, JSCAN_MESSAGE_SIZE, "the text has %zu bytes, more than 64 MB", size);
        return false;
    }
    if (size >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0)
        return fault(&s, s.text,
                     "the text begins with a byte order mark, which JSON does not allow");
    if (!scan_text(&s))
        return false;
    s.facts.heap +=
        s.largest; /* a hash part is copied when it grows: the old and the new one exist together */
    *facts = s.facts;
    return true;
}

/* ---- marks ---- */

static const byte *string_end(const byte *open, const byte *end)
{
    const byte *at = plain_end(open + 1, end);
    while (*at != '"')
        at = plain_end(at + (*at == '\\' ? 2 : 1), end);
    return at + 1;
}

/* Behind the bracket that closes the array at `open`, if it is empty; else NULL. */
static const byte *empty_array_end(const byte *open)
{
    const byte *at = open + 1;
    while (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r')
        at++;
    return *at == ']' ? at + 1 : NULL;
}

static const byte *number_end(const byte *at, const byte *end)
{
    while (at < end && is_word(*at))
        at++;
    return at;
}

static char *put(char *out, const void *text, size_t size)
{
    memcpy(out, text, size);
    return out + size;
}

static char *put_mark(char *out, const char *token, const byte *digits, size_t count)
{
    *out++ = '"';
    out = put(out, token, JSCAN_TOKEN_SIZE);
    out = put(out, digits, count);
    *out++ = '"';
    return out;
}

size_t json_scan_marked_room(const json_scan_facts *facts, size_t size)
{
    return size + (facts->empty_arrays + facts->wide_integers) * (JSCAN_TOKEN_SIZE + 2);
}

size_t json_scan_mark(const char *text, size_t size, const char *token, char *out)
{
    const byte *at = (const byte *)text, *end = at + size, *next;
    char *from = out;
    for (; at < end; at = next) {
        if (*at == '"') {
            next = string_end(at, end);
            out = put(out, at, (size_t)(next - at));
        } else if (*at == '[' && (next = empty_array_end(at)) != NULL) {
            *out++ = '[';
            out = put_mark(out, token, at, 0);
            *out++ = ']';
        } else if (*at == '-' || (*at >= '0' && *at <= '9')) {
            next = number_end(at, end);
            if (is_wide(at, next))
                out = put_mark(out, token, at, (size_t)(next - at));
            else
                out = put(out, at, (size_t)(next - at));
        } else {
            next = at + 1;
            *out++ = (char)*at;
        }
    }
    return (size_t)(out - from);
}
