#include "embed/patterns.h"

#include <ctype.h>
#include <lauxlib.h>
#include <stdbool.h>
#include <string.h>

#include "embed/library.h"
#include "embed/pattern_match.h"

/* Where a search begins: a position of Lua as an offset. */
static size_t start_offset(lua_State *L, int index, size_t size)
{
    lua_Integer position = luaL_optinteger(L, index, 1);
    if (position > 0)
        return (size_t)position - 1;
    if (position == 0 || position < -(lua_Integer)size)
        return 0;
    return size + (size_t)position;
}

/* Pushes a capture. [-0, +1, v] */
static void push_capture(const pattern_match *m, int number, const char *match, const char *end)
{
    const char *captured;
    ptrdiff_t size = pattern_capture(m, number, match, end, &captured);
    if (size != PATTERN_POSITION)
        lua_pushlstring(m->L, captured, (size_t)size);
}

/* Pushes all captures. When there are none, it pushes the matched text instead, unless `match` is NULL.
 * Returns how many it has pushed. [-0, +?, v] */
static int push_captures(const pattern_match *m, const char *match, const char *end)
{
    int count = m->captures == 0 && match ? 1 : m->captures;
    luaL_checkstack(m->L, count, "too many captures");
    for (int i = 0; i < count; i++)
        push_capture(m, i, match, end);
    return count;
}

/* ---- find, match ---- */

static bool is_plain(const char *pattern, size_t size)
{
    const char *end = pattern + size;
    while (pattern <= end && !strpbrk(pattern, "^$*+?.([%-"))
        pattern += strlen(pattern) + 1; /* over a NUL */
    return pattern > end;
}

/* Where the word is in the text; NULL = nowhere. */
static const char *find_plain(pattern_match *m, const char *at, const char *word, size_t size)
{
    const char *last = m->text_end - size; /* the last place where it can be */
    if (size == 0)
        return at;
    while (at <= last && (at = memchr(at, word[0], (size_t)(last - at) + 1))) {
        if (memcmp(at, word, size) == 0)
            return at;
        pattern_count(m, 1 + size / PATTERN_BYTES_A_STEP);
        at++;
    }
    return NULL;
}

/* Looks for the pattern from *at on, sets *at to the place, and returns the end of what was found; NULL = nothing was. */
static const char *find_first(pattern_match *m, const char **at, const char *pattern)
{
    bool is_anchored = *pattern == '^';
    const char *end;
    pattern += is_anchored;
    while (!(end = pattern_run(m, *at, pattern)) && *at < m->text_end && !is_anchored)
        ++*at;
    return end;
}

/* find or match. */
static int search(lua_State *L, bool is_find)
{
    size_t size, pattern_size, start;
    const char *text = luaL_checklstring(L, 1, &size), *at, *end;
    const char *pattern = luaL_checklstring(L, 2, &pattern_size);
    pattern_match m;
    start = start_offset(L, 3, size);
    if (start > size) {
        luaL_pushfail(L);
        return 1;
    }
    at = text + start;
    pattern_init(&m, L, text, size, pattern, pattern_size);
    if (is_find && (lua_toboolean(L, 4) || is_plain(pattern, pattern_size))) {
        m.captures = 0;
        at = pattern_size <= size - start ? find_plain(&m, at, pattern, pattern_size) : NULL;
        end = at ? at + pattern_size : NULL;
    } else {
        end = find_first(&m, &at, pattern);
    }
    if (!end) {
        luaL_pushfail(L);
        return 1;
    }
    if (!is_find)
        return push_captures(&m, at, end);
    lua_pushinteger(L, at - text + 1);
    lua_pushinteger(L, end - text);
    return 2 + push_captures(&m, NULL, NULL);
}

static int l_find(lua_State *L)
{
    return search(L, true);
}

static int l_match(lua_State *L)
{
    return search(L, false);
}

/* ---- gmatch ---- */

/* Upvalue 3 of the iterator; upvalues 1 and 2 are the text and the pattern. Both pointers are into the text. */
typedef struct iteration {
    const char *at, *last_end;
    size_t steps; /* of pattern_match */
} iteration;

/* A hook of debug.sethook may call the iterator inside of itself, so the match is not kept in it. */
static int l_next(lua_State *L)
{
    iteration *i = lua_touserdata(L, lua_upvalueindex(3));
    size_t size, pattern_size;
    const char *text = lua_tolstring(L, lua_upvalueindex(1), &size);
    const char *pattern = lua_tolstring(L, lua_upvalueindex(2), &pattern_size);
    pattern_match m;
    pattern_init(&m, L, text, size, pattern, pattern_size);
    m.steps = i->steps;
    for (const char *at = i->at; at <= m.text_end; at++) {
        const char *end = pattern_run(&m, at, pattern);
        if (end && end != i->last_end) {
            i->at = i->last_end = end;
            i->steps = m.steps;
            return push_captures(&m, at, end);
        }
    }
    return 0;
}

static int l_gmatch(lua_State *L)
{
    size_t size, start;
    const char *text = luaL_checklstring(L, 1, &size);
    iteration *i;
    luaL_checkstring(L, 2);
    start = start_offset(L, 3, size);
    lua_settop(L, 2);
    i = lua_newuserdatauv(L, sizeof *i, 0);
    i->at = text + (start > size ? size + 1 : start);
    i->last_end = NULL;
    i->steps = 0;
    lua_pushcclosure(L, l_next, 3);
    return 1;
}

/* ---- gsub ---- */

enum { TEXT = 1, PATTERN, REPLACEMENT, MOST };

/* The replacement is a text, in which %1 is a capture. */
static void add_text(pattern_match *m, luaL_Buffer *b, const char *match, const char *end)
{
    size_t size;
    const char *text = lua_tolstring(m->L, REPLACEMENT, &size), *text_end = text + size;
    const char *escape, *captured;
    while ((escape = memchr(text, PATTERN_ESCAPE, (size_t)(text_end - text)))) {
        char c = escape[1];
        pattern_count(m, 1);
        luaL_addlstring(b, text, (size_t)(escape - text));
        if (c == PATTERN_ESCAPE) {
            luaL_addchar(b, c);
        } else if (c == '0') {
            luaL_addlstring(b, match, (size_t)(end - match));
        } else if (isdigit((unsigned char)c)) {
            ptrdiff_t captured_size = pattern_capture(m, c - '1', match, end, &captured);
            if (captured_size == PATTERN_POSITION)
                luaL_addvalue(b);
            else
                luaL_addlstring(b, captured, (size_t)captured_size);
        } else {
            luaL_error(m->L, "invalid use of '%c' in replacement string", PATTERN_ESCAPE);
        }
        text = escape + 2;
    }
    luaL_addlstring(b, text, (size_t)(text_end - text));
}

/* Adds what replaces the match. False: it stays as it was. */
static bool add_replacement(pattern_match *m, luaL_Buffer *b, const char *match, const char *end)
{
    lua_State *L = m->L;
    int type = lua_type(L, REPLACEMENT);
    if (type == LUA_TFUNCTION) {
        lua_pushvalue(L, REPLACEMENT);
        lua_call(L, push_captures(m, match, end), 1);
    } else if (type == LUA_TTABLE) {
        push_capture(m, 0, match, end);
        lua_gettable(L, REPLACEMENT);
    } else {
        add_text(m, b, match, end);
        return true;
    }
    if (!lua_toboolean(L, -1)) {
        lua_pop(L, 1);
        luaL_addlstring(b, match, (size_t)(end - match));
        return false;
    }
    if (!lua_isstring(L, -1))
        luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
    luaL_addvalue(b);
    return true;
}

/* Adds the text with its replacements, unless nothing has changed. Returns their number. */
static lua_Integer replace(pattern_match *m, luaL_Buffer *b, const char *pattern, lua_Integer most,
                           bool *is_changed)
{
    bool is_anchored = *pattern == '^';
    const char *at = m->text, *last_end = NULL, *end;
    lua_Integer n = 0;
    pattern += is_anchored;
    while (n < most) {
        end = pattern_run(m, at, pattern);
        if (end && end != last_end) {
            n++;
            *is_changed = add_replacement(m, b, at, end) || *is_changed;
            at = last_end = end;
        } else if (at < m->text_end) {
            luaL_addchar(b, *at++);
        } else {
            break;
        }
        if (is_anchored)
            break;
    }
    if (*is_changed)
        luaL_addlstring(b, at, (size_t)(m->text_end - at));
    return n;
}

static int l_gsub(lua_State *L)
{
    size_t size, pattern_size;
    const char *text = luaL_checklstring(L, TEXT, &size);
    const char *pattern = luaL_checklstring(L, PATTERN, &pattern_size);
    int type = lua_type(L, REPLACEMENT);
    lua_Integer most = luaL_optinteger(L, MOST, (lua_Integer)size + 1), n;
    bool is_changed = false;
    pattern_match m;
    luaL_Buffer b;
    luaL_argexpected(L,
                     type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TFUNCTION ||
                         type == LUA_TTABLE,
                     REPLACEMENT, "string/function/table");
    luaL_buffinit(L, &b);
    pattern_init(&m, L, text, size, pattern, pattern_size);
    n = replace(&m, &b, pattern, most, &is_changed);
    if (is_changed)
        luaL_pushresult(&b);
    else
        lua_pushvalue(L, TEXT);
    lua_pushinteger(L, n);
    return 2;
}

/* ---- registration ---- */

void patterns_open(lua_State *L)
{
    static const luaL_Reg functions[] = { { "find", l_find },
                                          { "match", l_match },
                                          { "gmatch", l_gmatch },
                                          { "gsub", l_gsub },
                                          { NULL, NULL } };
    library_replace(L, "string", functions);
}
