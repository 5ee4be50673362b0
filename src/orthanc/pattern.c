#include "orthanc/pattern.h"

#include <stdint.h>
#include <string.h>

#include "base/ascii.h"
#include "base/utf8.h"

/* ---- letters ---- */

enum { REPLACEMENT = 0xFFFD };

/* The letters without accents of U+00C0 to U+00FF (upper and lower case alike), and of U+0100 to U+017F;
 * '-' = it is no letter. */
static const char latin_1[] = "aaaaaaaceeeeiiiidnooooo-ouuuuyts";
static const char latin_a[] =
    "aaaaaaccccccccddddeeeeeeeeeegggggggghhhhiiiiiiiiiiiijjkkkllllllllllnnnnnnnnnooooooooorrrrrr"
    "sssssssttttttuuuuuuuuuuuuwwyyyzzzzzzs";

/* Letters that are also written as two. */
static const struct pair {
    uint32_t code; /* lower case */
    char two[3];
} pairs[] = { { 0xE4, "ae" }, { 0xE5, "aa" }, { 0xE6, "ae" }, { 0xF6, "oe" },  { 0xF8, "oe" },
              { 0xFC, "ue" }, { 0xDF, "ss" }, { 0xFE, "th" }, { 0x133, "ij" }, { 0x153, "oe" } };

static uint32_t lower(uint32_t code)
{
    if (code < 0x80)
        return (uint32_t)ascii_lower((char)code);
    if ((code >= 0xC0 && code <= 0xDE && code != 0xD7) || (code >= 0x391 && code <= 0x3A9) ||
        (code >= 0x410 && code <= 0x42F))
        return code + 0x20;
    if (code >= 0x400 && code <= 0x40F)
        return code + 0x50;
    return code == 0x132 || code == 0x152 ? code + 1 : code;
}

/* The letter without case and accents; 0 for an accent. */
static uint32_t base_letter(uint32_t code)
{
    char letter = '-';
    if (code >= 0x300 && code <= 0x36F)
        return 0;
    if (code >= 0xC0 && code <= 0xFF)
        letter = code == 0xFF ? 'y' : latin_1[(code - 0xC0) & 0x1F];
    else if (code >= 0x100 && code <= 0x17F)
        letter = latin_a[code - 0x100];
    return letter == '-' ? lower(code) : (uint32_t)letter;
}

/* The two letters for which the letter also stands; NULL = none. */
static const char *two_letters(uint32_t code)
{
    code = lower(code);
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        if (pairs[i].code == code)
            return pairs[i].two;
    return NULL;
}

/* ---- reading ---- */

/* Reads a text character by character. Of names it leaves out the blanks around '^' and '='. */
typedef struct reader {
    const char *at, *end;
    const char *begin;
    const char *blanks_end; /* blanks in front of this belong to the text */
    bool name;
} reader;

static reader reader_of(slice s, bool name)
{
    return (reader){ s.text, s.text + s.size, s.text, s.text, name };
}

/* Whether there is a character at r->at; leaves out blanks. */
static bool reader_has_more(reader *r)
{
    const char *behind = r->at;
    if (!r->name || r->at >= r->end || !ascii_is_blank(*r->at) || r->at < r->blanks_end)
        return r->at < r->end;
    while (behind < r->end && ascii_is_blank(*behind))
        behind++;
    if (behind == r->end || pattern_ends_component(*behind) || r->at == r->begin ||
        pattern_ends_component(r->at[-1]))
        r->at = behind;
    else
        r->blanks_end = behind;
    return r->at < r->end;
}

/* Takes the next character; 0xFFFD for a byte that is no UTF-8. */
static uint32_t reader_next(reader *r)
{
    uint32_t code;
    size_t size = utf8_decode(r->at, r->end, &code);
    if (size == 1 && ascii_is_blank(*r->at))
        code = ' ';
    r->at += size > 0 ? size : 1;
    return code;
}

/* ---- patterns ---- */

/* An item is a letter, or one of these. LOST is a character beyond ASCII that a server may have lost:
 * then nothing, or other characters beyond ASCII, stand in its place. */
enum { ANY_ONE = 1, ANY_RUN = 2, LOST = 3, ITEMS_MAX = 1024 };

typedef struct pattern {
    size_t size;
    uint32_t item[ITEMS_MAX + 1]; /* the last one is an end */
} pattern;

/* The places of the pattern that the text so far can have reached; none outside of [low, high]. */
typedef struct places {
    size_t low, high;
    bool at[ITEMS_MAX + 1];
} places;

static bool add_item(pattern *p, uint32_t item)
{
    if (item == ANY_RUN && p->size > 0 && p->item[p->size - 1] == ANY_RUN)
        return true;
    if (p->size == ITEMS_MAX)
        return false;
    p->item[p->size++] = item;
    return true;
}

/* `two`: letters that are also written as two become two. False: it is too long. */
static bool compile(slice text, bool name, bool two, bool lossy, pattern *p)
{
    bool fits = true;
    p->size = 0;
    for (reader r = reader_of(text, name); fits && reader_has_more(&r);) {
        uint32_t code = reader_next(&r), letter = base_letter(code);
        const char *letters = two ? two_letters(code) : NULL;
        if (code == '*' || code == '?')
            fits = add_item(p, code == '*' ? ANY_RUN : ANY_ONE);
        else if (lossy && code > 0x7F)
            fits = add_item(p, LOST);
        else if (letters)
            fits = add_item(p, (uint32_t)letters[0]) && add_item(p, (uint32_t)letters[1]);
        else if (letter)
            fits = add_item(p, letter);
    }
    p->item[p->size] = 0;
    return fits;
}

static void clear(places *s, const pattern *p)
{
    memset(s->at, 0, p->size + 1);
    s->low = p->size + 1;
    s->high = 0;
}

/* Adds the place, and those behind what may stand for nothing. */
static void add_place(places *s, const pattern *p, size_t i)
{
    for (bool more = true; more && !s->at[i]; i++) {
        s->at[i] = true;
        s->low = i < s->low ? i : s->low;
        s->high = i > s->high ? i : s->high;
        more = p->item[i] == ANY_RUN || p->item[i] == LOST;
    }
}

/* Adds to `to` where one character leads from `from`. letter 0 = any letter. */
static void step(const pattern *p, const places *from, places *to, uint32_t letter,
                 bool beyond_ascii)
{
    for (size_t i = from->low; i <= from->high; i++) {
        uint32_t item = p->item[i];
        if (!from->at[i] || i == p->size)
            continue;
        if (item == ANY_RUN || (item == LOST && beyond_ascii))
            add_place(to, p, i);
        else if (item == ANY_ONE || (item != LOST && (letter == 0 || item == letter)))
            add_place(to, p, i + 1);
    }
}

/* The same for two letters. */
static void step_twice(const pattern *p, const places *from, places *to, const char *letters)
{
    places between;
    clear(&between, p);
    step(p, from, &between, letters ? (uint32_t)letters[0] : 0, false);
    step(p, &between, to, letters ? (uint32_t)letters[1] : 0, false);
}

/* Adds to `to` where the character of the text leads. A character that replaces others may stand for up
 * to two letters, or for none. */
static void take(const pattern *p, places *from, places *to, uint32_t code, bool lossy)
{
    const char *two = two_letters(code);
    uint32_t letter = base_letter(code);
    bool replaces = lossy && (code == '?' || code == REPLACEMENT);
    if (replaces || letter == 0)
        for (size_t i = from->low; i <= from->high; i++)
            if (from->at[i])
                add_place(to, p, i);
    if (letter != 0)
        step(p, from, to, replaces ? 0 : letter, replaces || code > 0x7F);
    if (two || replaces)
        step_twice(p, from, to, two);
}

static bool matches(const pattern *p, slice text, bool name, bool lossy, long *steps)
{
    places sets[2], *from = &sets[0], *to = &sets[1], *last;
    clear(from, p);
    add_place(from, p, 0);
    for (reader r = reader_of(text, name); reader_has_more(&r);) {
        *steps -= (long)(from->high - from->low + 1) * 2;
        if (*steps < 0)
            return false;
        clear(to, p);
        take(p, from, to, reader_next(&r), lossy);
        if (to->low > to->high)
            return false;
        last = from;
        from = to;
        to = last;
    }
    return from->at[p->size];
}

static bool are_equal(slice a, slice b)
{
    if (a.size != b.size)
        return false;
    for (size_t i = 0; i < a.size; i++)
        if (ascii_lower(a.text[i]) != ascii_lower(b.text[i]))
            return false;
    return true;
}

/* Whether characters of the pattern or of the text may have got lost. */
static bool may_be_lossy(slice text, slice s)
{
    return !ascii_is_all(s.text, s.size) || !ascii_is_all(text.text, text.size) ||
           memchr(text.text, '?', text.size);
}

/* The same for ASCII without blanks: nearly all that is compared. */
static bool matches_ascii(slice wanted, slice text, long *steps)
{
    const size_t none = (size_t)-1;
    size_t p = 0, t = 0, run = none, from = 0;
    while (t < text.size && --*steps >= 0) {
        char item = p < wanted.size ? wanted.text[p] : '\0';
        if (p < wanted.size && item == '*') {
            run = p++;
            from = t;
        } else if (p < wanted.size &&
                   (item == '?' || ascii_lower(item) == ascii_lower(text.text[t]))) {
            p++;
            t++;
        } else if (run != none) { /* the last run takes one character more */
            p = run + 1;
            t = ++from;
        } else {
            return false;
        }
    }
    while (p < wanted.size && wanted.text[p] == '*')
        p++;
    return *steps >= 0 && p == wanted.size;
}

static bool is_plain(slice s)
{
    for (size_t i = 0; i < s.size; i++)
        if (s.text[i] <= ' ' || (unsigned char)s.text[i] > 0x7E)
            return false;
    return true;
}

pattern_result pattern_compare(slice text_of_pattern, slice text, bool name, long *steps)
{
    pattern p = { .size = 0 };
    if (are_equal(text_of_pattern, text))
        return PATTERN_YES;
    if (is_plain(text_of_pattern) && is_plain(text) && !memchr(text.text, '?', text.size)) {
        if (matches_ascii(text_of_pattern, text, steps))
            return PATTERN_YES;
        return *steps < 0 ? PATTERN_DOUBT : PATTERN_NO;
    }
    for (int two = 0; two <= 1; two++) {
        if (!compile(text_of_pattern, name, two, false, &p))
            return PATTERN_DOUBT;
        *steps -= (long)p.size;
        if (matches(&p, text, name, false, steps))
            return PATTERN_YES;
        if (ascii_is_all(text_of_pattern.text, text_of_pattern.size))
            break;
    }
    if (*steps < 0)
        return PATTERN_DOUBT;
    if (!may_be_lossy(text, text_of_pattern))
        return PATTERN_NO;
    compile(text_of_pattern, name, false, true, &p);
    return matches(&p, text, name, true, steps) || *steps < 0 ? PATTERN_DOUBT : PATTERN_NO;
}
