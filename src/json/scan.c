#include "json/scan.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/ascii.h"
#include "base/utf8.h"
#include "json/number.h"

/* What Lua 5.4 allocates on a 64-bit machine. Allocators round each block up to 16 bytes. */
#define TABLE_COST  64 /* struct Table has 56 bytes */
#define NODE_COST   24 /* a place in the hash part of a table */
#define SLOT_COST   16 /* a place in the array part */
#define STRING_COST 41 /* besides the characters: header and terminator 25, rounding 16 */
#define BUCKET_COST 64 /* a string's share when the string table doubles */

#define SHORT_STRING_MAX 40 /* Lua keeps equal strings up to this size once */
#define KNOWN_KEYS       64

#define ONES UINT64_C(0x0101010101010101)

/* A key that was seen lately. The objects in an answer repeat their keys, and Lua keeps equal short
 * strings once: only the first one costs memory. */
typedef struct known_key {
    const char *at;
    size_t size;
} known_key;

typedef struct scan {
    const char *text, *at, *end;
    json_scan_facts facts;
    size_t depth;
    json_scan_cuts *cuts; /* NULL = not needed */
    char *message;
    bool is_object[JSON_DEPTH_MAX];
    uint32_t count[JSON_DEPTH_MAX]; /* elements of each open container so far */
    known_key keys[KNOWN_KEYS];
} scan;

/* ---- faults ---- */

/* Sets the message. Returns false. */
static bool fault(scan *s, const char *at, const char *what)
{
    size_t line = 1, column = 1;
    for (const char *p = s->text; p < at; p++) {
        if (*p == '\n') {
            line++;
            column = 1;
        } else if (!utf8_is_continuation(*p)) {
            column++;
        }
    }
    snprintf(s->message, JSON_MESSAGE_SIZE, "line %zu, column %zu: %s", line, column, what);
    return false;
}

/* Whether the character can be part of a number or a literal, a correct one or a wrong one. */
static bool is_word(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' ||
           c == '.' || c == '+' || c == '-';
}

/* The message names what was found: a word (at most 20 characters), a character, or a byte. */
static bool unexpected(scan *s, const char *expected)
{
    char what[JSON_MESSAGE_SIZE - 64];
    size_t word = 0;
    while (word < 20 && s->at + word < s->end && is_word(s->at[word]))
        word++;
    if (s->at == s->end)
        snprintf(what, sizeof what, "expected %s, found the end of the text", expected);
    else if (word > 0)
        snprintf(what, sizeof what, "expected %s, found '%.*s'", expected, (int)word, s->at);
    else if (*s->at > ' ' && *s->at <= '~')
        snprintf(what, sizeof what, "expected %s, found '%c'", expected, *s->at);
    else
        snprintf(what, sizeof what, "expected %s, found the byte 0x%02X", expected,
                 (unsigned char)*s->at);
    return fault(s, s->at, what);
}

/* ---- strings ----
 *
 * A plain character stands for itself in a JSON string: it is ASCII, but no control character,
 * quote or backslash. */

/* Not zero when one of the eight bytes is not plain. */
static uint64_t find_special(uint64_t w)
{
    uint64_t quote = w ^ (ONES * '"'), backslash = w ^ (ONES * '\\');
    return ((w - ONES * 0x20) | (quote - ONES) | (backslash - ONES) | w) & (ONES * 0x80);
}

static bool is_plain(char c)
{
    return (unsigned char)c >= ' ' && (unsigned char)c < 0x80 && c != '"' && c != '\\';
}

const char *json_scan_plain_end(const char *at, const char *end)
{
    uint64_t w;
    while ((size_t)(end - at) >= sizeof w) {
        memcpy(&w, at, sizeof w);
        if (find_special(w))
            break;
        at += sizeof w;
    }
    while (at < end && is_plain(*at))
        at++;
    return at;
}

/* The code unit of the escape `\uXXXX` at p; -1: there is none. */
static int32_t code_unit(const char *p, const char *end)
{
    int32_t unit = 0;
    if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
        return -1;
    for (int i = 2; i < 6; i++) {
        int digit = ascii_hex_value(p[i]);
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
    char c = s->end - s->at >= 2 ? s->at[1] : 0;
    if (c == 'u')
        return scan_unicode_escape(s);
    if (c == 0 || !strchr("\"\\/bfnrt", c))
        return fault(s, s->at, "not an escape sequence of JSON");
    s->at += 2;
    return true;
}

/* A character that is neither plain nor the closing quote. */
static bool scan_special(scan *s)
{
    size_t size;
    if (*s->at == '\\')
        return scan_escape(s);
    if ((unsigned char)*s->at < ' ')
        return fault(s, s->at, "a control character in a string (it must be escaped)");
    size = utf8_size(s->at, s->end);
    if (size == 0)
        return fault(s, s->at, "not valid UTF-8");
    s->at += size;
    return true;
}

static bool scan_string(scan *s)
{
    const char *open = s->at++;
    for (;;) {
        s->at = json_scan_plain_end(s->at, s->end);
        if (s->at == s->end)
            return fault(s, open, "a string without its closing quote");
        if (*s->at == '"')
            break;
        if (!scan_special(s))
            return false;
    }
    s->at++;
    return true;
}

/* ---- what they cost ---- */

static void count_string(scan *s, size_t size)
{
    s->facts.heap += STRING_COST + size;
    s->facts.churn += BUCKET_COST;
}

/* Whether the key, with its quotes, was seen lately. Remembers it. */
static bool is_known(scan *s, const char *at, size_t size)
{
    known_key *known;
    size_t hash;
    if (size > SHORT_STRING_MAX)
        return false;
    hash = 31u * (unsigned char)at[size - 2] + 7u * (unsigned char)at[size / 2] + size;
    known = &s->keys[hash % KNOWN_KEYS];
    if (known->at && known->size == size && memcmp(known->at, at, size) == 0)
        return true;
    known->at = at;
    known->size = size;
    return false;
}

/* ---- numbers ---- */

static bool scan_digits(scan *s)
{
    const char *from = s->at;
    s->at = json_digits_end(from, s->end);
    return s->at > from || unexpected(s, "a digit");
}

/* The fraction and the exponent, if there are any. */
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
    const char *from = s->at, *first = from + (*from == '-'), *integer_end;

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
        return !json_float_is_infinite(first, s->at) ||
               fault(s, from, "a number beyond the largest double (1.8e308)");
    if (!json_integer_fits(from, s->at))
        return fault(s, from, "an integer that does not fit into 64 bits");
    if (json_integer_is_wide(from, s->at)) {
        s->facts.wide_integers++;
        count_string(s, JSON_TOKEN_SIZE + (size_t)(s->at - from));
    }
    return true;
}

/* ---- structure ---- */

static void skip_space(scan *s)
{
    const char *at = s->at, *end = s->end;
    while (at < end && (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r'))
        at++;
    s->at = at;
}

static bool scan_string_value(scan *s)
{
    const char *open = s->at;
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
    const char *open = s->at;
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

/* Lua doubles a part of a table when it is full: one that holds `count` elements had 1, 2, 4 ...
 * places before. */
static void count_places(scan *s, size_t count, size_t cost)
{
    size_t places = 1;
    while (places < count)
        places *= 2;
    s->facts.heap += places * cost;
    s->facts.churn += (places - 1) * cost;
}

/* Behind the last element of a container: passes the bracket, and counts what the table costs. */
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
        if (s->facts.churn - before > s->facts.largest)
            s->facts.largest = s->facts.churn - before;
    }
}

/* Enters a container. Sets *whole when it was empty: then it has been left too. Otherwise its first
 * value follows. */
static bool scan_open(scan *s, bool is_object, bool *whole)
{
    if (s->depth == JSON_DEPTH_MAX)
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

/* Scans a scalar or an empty container, and sets *whole; or the start of a container up to its
 * first value, and clears *whole. */
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

/* At a comma of the outermost list: it can be divided here when the part before is large enough. */
static void note_cut(scan *s)
{
    json_scan_cuts *c = s->cuts;
    size_t at = (size_t)(s->at - s->text);
    size_t before = c->count > 0 ? c->cuts[c->count - 1].at : 0;
    if (c->count == JSON_CUTS_MAX || at - before < c->part)
        return;
    c->cuts[c->count].at = at;
    c->cuts[c->count].elements = s->count[0];
    c->cuts[c->count++].before = s->facts;
}

/* Behind a value: passes the ends of containers, up to a comma that another value follows or, at
 * depth 0, the end of the outermost one. */
static bool scan_after(scan *s)
{
    while (s->depth > 0) {
        bool is_object = s->is_object[s->depth - 1];
        char c;
        skip_space(s);
        c = s->at < s->end ? *s->at : 0;
        if (c == ',') {
            if (s->cuts && s->depth == 1 && !is_object)
                note_cut(s);
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

bool json_scan(const char *text, size_t size, json_scan_facts *facts, json_scan_cuts *cuts,
               char message[JSON_MESSAGE_SIZE])
{
    scan s;
    s.text = s.at = text;
    s.end = s.text + size;
    s.depth = 0;
    s.cuts = cuts;
    s.message = message;
    s.count[0] = 0;
    if (cuts)
        cuts->count = 0;
    memset(&s.facts, 0, sizeof s.facts);
    memset(s.keys, 0, sizeof s.keys);
    if (utf8_mark_size(text, size) > 0)
        return fault(&s, s.text,
                     "the text begins with a byte order mark, which JSON does not allow");
    if (!scan_text(&s))
        return false;
    s.facts.heap += s.facts.largest; /* while a hash part grows, the old and the new one exist */
    *facts = s.facts;
    if (cuts)
        cuts->elements = s.count[0];
    return true;
}

/* A part has a list of its own around it, and a key that the scan met in another part costs again. */
json_scan_facts json_scan_part(const json_scan_cuts *cuts, size_t i, const json_scan_facts *whole)
{
    static const json_scan_facts none;
    const json_scan_facts *from = i > 0 ? &cuts->cuts[i - 1].before : &none;
    const json_scan_facts *to = i < cuts->count ? &cuts->cuts[i].before : whole;
    size_t before = i > 0 ? cuts->cuts[i - 1].elements : 0;
    size_t count = (i < cuts->count ? cuts->cuts[i].elements : cuts->elements) - before;
    scan s = { .depth = 0 };
    s.facts.arrays = to->arrays - from->arrays + (i > 0);
    s.facts.empty_arrays = to->empty_arrays - from->empty_arrays;
    s.facts.numbers = to->numbers - from->numbers;
    s.facts.wide_integers = to->wide_integers - from->wide_integers;
    s.facts.depth = whole->depth;
    s.facts.heap = to->heap - from->heap + TABLE_COST +
                   KNOWN_KEYS * (STRING_COST + SHORT_STRING_MAX + BUCKET_COST) + whole->largest;
    s.facts.churn = to->churn - from->churn;
    count_places(&s, count, SLOT_COST);
    return s.facts;
}
