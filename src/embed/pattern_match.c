#include "embed/pattern_match.h"

#include <ctype.h>
#include <lauxlib.h>
#include <stdbool.h>
#include <string.h>

#include "binding/interrupt.h"

enum {
    SHORT_SET = 16, /* bytes */
    DEPTH = 200,    /* as in Lua */
    LOOK = 1 << 14  /* the steps between two looks, some 0.1 ms */
};

static const char *match(pattern_match *m, const char *at, const char *p);

void pattern_count(pattern_match *m, size_t cost)
{
    m->steps += cost;
    if (m->steps < LOOK)
        return;
    m->steps = 0;
    interrupt_look(m->L);
}

void pattern_init(pattern_match *m, lua_State *L, const char *text, size_t text_size,
                  const char *pattern, size_t pattern_size)
{
    m->L = L;
    m->text = text;
    m->text_end = text + text_size;
    m->pattern_end = pattern + pattern_size;
    m->steps = 0;
}

const char *pattern_run(pattern_match *m, const char *at, const char *pattern)
{
    m->captures = 0;
    m->depth = DEPTH;
    return match(m, at, pattern);
}

/* ---- one character ---- */

/* Where the single character, the class or the set at p ends. */
static const char *item_end(pattern_match *m, const char *p)
{
    const char *begin = p;
    if (*p == PATTERN_ESCAPE) {
        if (p + 1 == m->pattern_end)
            luaL_error(m->L, "malformed pattern (ends with '%%')");
        return p + 2;
    }
    if (*p++ != '[')
        return p;
    if (*p == '^')
        p++;
    do { /* a ']' that comes first is a member */
        if (p == m->pattern_end)
            luaL_error(m->L, "malformed pattern (missing ']')");
        if (*p++ == PATTERN_ESCAPE && p < m->pattern_end)
            p++;
    } while (*p != ']');
    if (p - begin > SHORT_SET)
        pattern_count(m, (size_t)(p - begin) / 4);
    return p + 1;
}

static bool is_of_class(int c, int class)
{
    bool is;
    switch (tolower(class)) {
    case 'a': is = isalpha(c); break;
    case 'c': is = iscntrl(c); break;
    case 'd': is = isdigit(c); break;
    case 'g': is = isgraph(c); break;
    case 'l': is = islower(c); break;
    case 'p': is = ispunct(c); break;
    case 's': is = isspace(c); break;
    case 'u': is = isupper(c); break;
    case 'w': is = isalnum(c); break;
    case 'x': is = isxdigit(c); break;
    case 'z': is = c == 0; break; /* not in the manual any more */
    default: return c == class;
    }
    return isupper(class) ? !is : is;
}

/* The set is from p, its '[', to `last`, its ']'. */
static bool is_of_set(pattern_match *m, int c, const char *p, const char *last)
{
    bool is_negated = p[1] == '^', is = false;
    if (last - p > SHORT_SET)
        pattern_count(m, (size_t)(last - p) / 4);
    for (p += is_negated ? 2 : 1; p < last && !is; p++) {
        if (*p == PATTERN_ESCAPE) {
            p++;
            is = is_of_class(c, (unsigned char)*p);
        } else if (p[1] == '-' && p + 2 < last) {
            is = (unsigned char)p[0] <= c && c <= (unsigned char)p[2];
            p += 2;
        } else {
            is = (unsigned char)*p == c;
        }
    }
    return is != is_negated;
}

/* Whether the character of the text is of the item from p to `end`. */
static bool is_of_item(pattern_match *m, const char *at, const char *p, const char *end)
{
    int c = (unsigned char)*at;
    if (at >= m->text_end)
        return false;
    switch (*p) {
    case '.': return true;
    case PATTERN_ESCAPE: return is_of_class(c, (unsigned char)p[1]);
    case '[': return is_of_set(m, c, p, end - 1);
    default: return (unsigned char)*p == c;
    }
}

/* ---- repetitions ---- */

static const char *match_most(pattern_match *m, const char *at, const char *p, const char *end)
{
    ptrdiff_t n = 0;
    const char *matched = NULL;
    for (; is_of_item(m, at + n, p, end); n++)
        pattern_count(m, 1);
    for (; n >= 0 && !matched; n--)
        matched = match(m, at + n, end + 1);
    return matched;
}

static const char *match_least(pattern_match *m, const char *at, const char *p, const char *end)
{
    const char *matched;
    while (!(matched = match(m, at, end + 1)) && is_of_item(m, at, p, end))
        at++;
    return matched;
}

/* ---- captures ---- */

static const char *open_capture(pattern_match *m, const char *at, const char *p, ptrdiff_t size)
{
    const char *matched;
    if (m->captures >= PATTERN_CAPTURES)
        luaL_error(m->L, "too many captures");
    m->capture[m->captures].begin = at;
    m->capture[m->captures].size = size;
    m->captures++;
    matched = match(m, at, p);
    if (!matched)
        m->captures--;
    return matched;
}

static const char *close_capture(pattern_match *m, const char *at, const char *p)
{
    int i = m->captures - 1;
    const char *matched;
    while (i >= 0 && m->capture[i].size != PATTERN_OPEN)
        i--;
    if (i < 0)
        luaL_error(m->L, "invalid pattern capture");
    m->capture[i].size = at - m->capture[i].begin;
    matched = match(m, at, p);
    if (!matched)
        m->capture[i].size = PATTERN_OPEN;
    return matched;
}

/* The text of an earlier capture. */
static const char *match_capture(pattern_match *m, const char *at, int digit)
{
    int i = digit - '1';
    size_t size;
    if (i < 0 || i >= m->captures || m->capture[i].size == PATTERN_OPEN)
        luaL_error(m->L, "invalid capture index %%%d", i + 1);
    size = (size_t)m->capture[i].size;
    if ((size_t)(m->text_end - at) < size) /* a position is never so short */
        return NULL;
    pattern_count(m, 1 + size / PATTERN_BYTES_A_STEP);
    return memcmp(m->capture[i].begin, at, size) == 0 ? at + size : NULL;
}

ptrdiff_t pattern_capture(const pattern_match *m, int number, const char *match,
                          const char *match_end, const char **captured)
{
    ptrdiff_t size;
    if (number >= m->captures) {
        if (number != 0)
            luaL_error(m->L, "invalid capture index %%%d", number + 1);
        *captured = match;
        return match_end - match;
    }
    size = m->capture[number].size;
    *captured = m->capture[number].begin;
    if (size == PATTERN_OPEN)
        luaL_error(m->L, "unfinished capture");
    if (size == PATTERN_POSITION)
        lua_pushinteger(m->L, *captured - m->text + 1);
    return size;
}

/* ---- the items of a pattern ---- */

/* p is the first of the two characters after a %b. */
static const char *match_balance(pattern_match *m, const char *at, const char *p)
{
    int open = 1;
    if (p >= m->pattern_end - 1)
        luaL_error(m->L, "malformed pattern (missing arguments to '%%b')");
    if (*at != p[0])
        return NULL;
    while (++at < m->text_end) {
        pattern_count(m, 1);
        if (*at == p[1] && --open == 0)
            return at + 1;
        if (*at == p[0] && *at != p[1])
            open++;
    }
    return NULL;
}

/* The set of a %f is from p to `end`. */
static bool is_frontier(pattern_match *m, const char *at, const char *p, const char *end)
{
    int before = at == m->text ? 0 : (unsigned char)at[-1];
    return !is_of_set(m, before, p, end - 1) && is_of_set(m, (unsigned char)*at, p, end - 1);
}

/* The next functions match the item at *p. True: the match goes on at *at, NULL = there is none, with the item at *p. False: *at is the end
 * of the whole match. */

/* The single item from *p to `end` has matched once. */
static bool match_suffix(pattern_match *m, const char **at, const char **p, const char *end)
{
    const char *matched;
    switch (*end) {
    case '?':
        *p = end + 1;
        matched = match(m, *at + 1, end + 1);
        if (matched)
            *at = matched;
        return !matched;
    case '+': *at = match_most(m, *at + 1, *p, end); return false;
    case '*': *at = match_most(m, *at, *p, end); return false;
    case '-': *at = match_least(m, *at, *p, end); return false;
    default:
        *at += 1;
        *p = end;
        return true;
    }
}

/* A character, a class or a set, with its suffix. */
static bool match_single(pattern_match *m, const char **at, const char **p)
{
    const char *end = item_end(m, *p);
    if (is_of_item(m, *at, *p, end))
        return match_suffix(m, at, p, end);
    if (*end == '*' || *end == '?' || *end == '-')
        *p = end + 1;
    else
        *at = NULL;
    return true;
}

static bool match_escape(pattern_match *m, const char **at, const char **p)
{
    const char *end;
    switch ((*p)[1]) {
    case 'b':
        *at = match_balance(m, *at, *p + 2);
        *p += 4;
        return true;
    case 'f':
        *p += 2;
        if (**p != '[')
            luaL_error(m->L, "missing '[' after '%%f' in pattern");
        end = item_end(m, *p);
        *at = is_frontier(m, *at, *p, end) ? *at : NULL;
        *p = end;
        return true;
    default:
        if (!isdigit((unsigned char)(*p)[1]))
            return match_single(m, at, p);
        *at = match_capture(m, *at, (unsigned char)(*p)[1]);
        *p += 2;
        return true;
    }
}

static bool match_item(pattern_match *m, const char **at, const char **p)
{
    bool is_position;
    switch (**p) {
    case '(':
        is_position = (*p)[1] == ')';
        *at = open_capture(m, *at, *p + (is_position ? 2 : 1),
                           is_position ? PATTERN_POSITION : PATTERN_OPEN);
        return false;
    case ')': *at = close_capture(m, *at, *p + 1); return false;
    case '$':
        if (*p + 1 != m->pattern_end)
            return match_single(m, at, p);
        *at = *at == m->text_end ? *at : NULL;
        return false;
    case PATTERN_ESCAPE: return match_escape(m, at, p);
    default: return match_single(m, at, p);
    }
}

static const char *match(pattern_match *m, const char *at, const char *p)
{
    if (m->depth-- == 0)
        luaL_error(m->L, "pattern too complex");
    pattern_count(m, 1);
    while (at && p != m->pattern_end && match_item(m, &at, &p))
        pattern_count(m, 1);
    m->depth++;
    return at;
}
