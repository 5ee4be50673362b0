#include "orthanc/pattern.h"

#include <stdint.h>
#include <string.h>

#include "base/ascii.h"
#include "base/utf8.h"
#include "orthanc/letters.h"

static bool equals(slice a, slice b)
{
    if (a.size != b.size)
        return false;
    for (size_t i = 0; i < a.size; i++)
        if (ascii_lower(a.text[i]) != ascii_lower(b.text[i]))
            return false;
    return true;
}

/* A filter as items: a character in lower case; an accented letter as BASE | the letter without its
 * accent; or one of these. FOREIGN: a character beyond ASCII that is not such a letter. SECOND: what may
 * follow the letter of an accented one, as in "ae", "ss". */
enum { ANY_ONE = 1, ANY_RUN, FOREIGN, SECOND, BASE = 0x80, PATTERN_MAX = 1024 };

#define SECOND_LETTERS "aehs"

typedef struct pattern {
    size_t size;
    unsigned char item[PATTERN_MAX + 1]; /* the last one is an end */
    bool optional[PATTERN_MAX + 1];      /* the item may stand for nothing */
} pattern;

/* The places of a pattern that a value can have reached. */
typedef struct places {
    size_t low, high; /* none outside of [low, high] is active; low > high: none is */
    bool active[PATTERN_MAX + 2];
} places;

/* A character of a value. */
typedef struct character {
    size_t bytes;
    bool doubtful;  /* beyond ASCII, or a '?', which servers write for a lost character */
    char letter[2]; /* the item that it is; "": it may be any */
} character;

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
    if (!r->name || r->at >= r->end || !pattern_is_blank(*r->at) || r->at < r->blanks_end)
        return r->at < r->end;
    while (behind < r->end && pattern_is_blank(*behind))
        behind++;
    if (behind == r->end || pattern_ends_component(*behind) || r->at == r->begin ||
        pattern_ends_component(r->at[-1]))
        r->at = behind;
    else
        r->blanks_end = behind;
    return r->at < r->end;
}

/* A character of ASCII as an item. */
static unsigned char pattern_item(char c)
{
    return pattern_is_blank(c) ? ' ' : (unsigned char)ascii_lower(c);
}

/* What may follow the letter of an accented one: "ae", "oe", "ss" for a sharp s, "th" for a thorn. */
static const char *second_letters(char base)
{
    switch (base) {
    case 'a': return "ae";
    case 'o':
    case 'u': return "e";
    case 's': return "s";
    case 't': return "h";
    default: return "";
    }
}

bool pattern_has_word(slice s)
{
    for (size_t i = 0; i < s.size; i++)
        if (ascii_is_digit(s.text[i]) ||
            (ascii_lower(s.text[i]) >= 'a' && ascii_lower(s.text[i]) <= 'z'))
            return true;
    return false;
}

static void add_item(pattern *p, int item, bool optional)
{
    if (p->size > PATTERN_MAX)
        return;
    if (p->size < PATTERN_MAX) {
        p->item[p->size] = (unsigned char)item;
        p->optional[p->size] = optional || item == ANY_RUN;
    }
    p->size++;
}

/* Adds a character beyond ASCII. A server may have lost it, or replaced it by one or more others;
 * `lost`: by none. */
static size_t add_foreign(pattern *p, const reader *r, bool lost)
{
    uint32_t code;
    size_t bytes = utf8_decode(r->at, r->end, &code);
    char base = letters_base(code);
    bool combining = code >= 0x0300 && code <= 0x036F;
    bytes = bytes > 0 ? bytes : 1;
    add_item(p, base ? BASE | base : FOREIGN, lost || combining);
    if (base && second_letters(base)[0])
        add_item(p, SECOND, true);
    for (size_t i = 1; !base && (i < bytes || i < 2); i++)
        add_item(p, FOREIGN, true);
    return bytes;
}

/* False: the filter is too long for a pattern. */
static bool compile(slice filter, bool name, pattern *p)
{
    bool lost = pattern_has_word(filter); /* of a filter without a word, nothing would be left */
    size_t bytes;
    p->size = 0;
    for (reader r = reader_of(filter, name); reader_has_more(&r); r.at += bytes) {
        bytes = 1;
        if ((unsigned char)*r.at > 0x7F)
            bytes = add_foreign(p, &r, lost);
        else
            add_item(p,
                     *r.at == '*'   ? ANY_RUN
                     : *r.at == '?' ? ANY_ONE
                                    : pattern_item(*r.at),
                     false);
    }
    if (p->size > PATTERN_MAX)
        return false;
    p->item[p->size] = 0;
    p->optional[p->size] = false;
    return true;
}

static void activate(places *s, size_t i)
{
    s->active[i] = true;
    s->low = i < s->low ? i : s->low;
    s->high = i > s->high ? i : s->high;
}

/* An optional item may stand for nothing: the place behind it is active too. */
static void pass_optional(const pattern *p, places *s)
{
    for (size_t i = s->low; i <= s->high && i < p->size; i++)
        if (s->active[i] && p->optional[i])
            activate(s, i + 1);
}

static void start(const pattern *p, places *s)
{
    memset(s->active, 0, p->size + 2);
    s->active[0] = true;
    s->low = s->high = 0;
    pass_optional(p, s);
}

/* Whether a character can be that item. letters: the items that it may be; "" = any. */
static bool can_be(unsigned char item, const character *c, const char *letters)
{
    if (item == ANY_ONE || item == ANY_RUN)
        return true;
    if (item == FOREIGN)
        return c->doubtful;
    if (item == SECOND)
        return c->doubtful || strchr(SECOND_LETTERS, letters[0]);
    if (item & BASE)
        return c->doubtful || (item & ~BASE) == letters[0];
    return !letters[0] || strchr(letters, item);
}

/* Moves the active places over one item; those at a run also stay. */
static void advance(const pattern *p, places *s, const character *c, const char *letters)
{
    size_t first = s->low, last = s->high;
    s->low = p->size + 1;
    s->high = 0;
    for (size_t i = last + 1; i-- > first;) {
        bool moves = s->active[i] && i < p->size && can_be(p->item[i], c, letters);
        bool stays = moves && p->item[i] == ANY_RUN;
        s->active[i] = false;
        if (moves && !stays)
            activate(s, i + 1);
        if (stays)
            activate(s, i);
    }
    if (s->low <= s->high)
        pass_optional(p, s);
}

static void add_places(places *to, const places *from)
{
    for (size_t i = from->low; i <= from->high; i++)
        if (from->active[i])
            activate(to, i);
}

/* Moves the places over a character of the value. A doubtful one may stand for no item, for one, or for
 * two, as a sharp s for "ss", or as what a wrong character set made of two bytes. */
static void advance_over(const pattern *p, places *s, const character *c)
{
    places moved;
    const char *second;
    if (!c->doubtful) {
        advance(p, s, c, c->letter);
        return;
    }
    moved = *s;
    advance(p, &moved, c, c->letter);
    add_places(s, &moved);
    second = c->letter[0] ? second_letters(c->letter[0]) : "";
    if (c->letter[0] && !second[0])
        return;
    advance(p, &moved, c, second);
    add_places(s, &moved);
}

static character read_character(const reader *r)
{
    uint32_t code;
    size_t bytes = utf8_decode(r->at, r->end, &code);
    character c = { .bytes = bytes > 0 ? bytes : 1 };
    c.doubtful = *r->at == '?' || (unsigned char)*r->at > 0x7F;
    c.letter[0] = !c.doubtful ? (char)pattern_item(*r->at) : letters_base(code);
    return c;
}

/* Whether the value has what is left of the escape sequences of ISO 2022 when it was read in another
 * character set: its letters then stand for other characters. */
static bool has_escapes(slice s)
{
    for (size_t i = 0; i + 1 < s.size; i++)
        if ((s.text[i] == '$' && strchr("@AB()", s.text[i + 1])) ||
            (s.text[i] == '(' && strchr("BIJ", s.text[i + 1])))
            return true;
    return false;
}

/* Whether the text has neither wildcards nor characters that are in doubt. */
static bool is_plain(slice s)
{
    for (size_t i = 0; i < s.size; i++)
        if (s.text[i] < ' ' || s.text[i] > '~' || s.text[i] == '*' || s.text[i] == '?')
            return false;
    return true;
}

bool pattern_matches(slice filter, slice value, bool name, long *steps)
{
    character one;
    pattern p;
    places s;
    if (equals(filter, value) || (!ascii_is_all(filter.text, filter.size) && has_escapes(value)))
        return true;
    if (!name && is_plain(filter) && is_plain(value))
        return false;
    if (!compile(filter, name, &p))
        return true;
    *steps -= (long)p.size;
    start(&p, &s);
    for (reader r = reader_of(value, name); reader_has_more(&r); r.at += one.bytes) {
        one = read_character(&r);
        *steps -= (long)(s.high - s.low + 1) + (one.doubtful ? 64 : 0);
        if (*steps < 0)
            return true;
        advance_over(&p, &s, &one);
        if (s.low > s.high)
            return false;
    }
    return s.high == p.size && s.active[p.size];
}
