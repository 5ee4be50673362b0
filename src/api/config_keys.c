#include "api/config_keys.h"

#include <lauxlib.h>
#include <string.h>

#include "base/ascii.h"

enum {
    DEPTH_MAX = 200
}; /* of tables in tables: Lua compiles none that are deeper (LUAI_MAXCCALLS) */

static bool is_of_word(char c)
{
    return ascii_is_letter(c) || ascii_is_digit(c) || c == '_';
}

/* The end of a text in long brackets, [[…]] or [==[…]==], that begins at `at`; NULL: there is none. */
static const char *long_end(const char *at, const char *end)
{
    const char *p = at + 1;
    size_t level;
    while (p < end && *p == '=')
        p++;
    level = (size_t)(p - at - 1);
    if (p == end || *p != '[')
        return NULL;
    for (; (p = memchr(p, ']', (size_t)(end - p))); p++) {
        const char *close = p + 1;
        while (close < end && *close == '=')
            close++;
        if ((size_t)(close - p - 1) == level && close < end && *close == ']')
            return close + 1;
    }
    return NULL;
}

/* Behind blanks and comments. */
static const char *skip_blanks(const char *at, const char *end)
{
    while (at < end) {
        const char *close;
        if (strchr(" \t\r\n\f\v", *at)) {
            at++;
        } else if (end - at > 1 && at[0] == '-' && at[1] == '-') {
            close = end - at > 2 && at[2] == '[' ? long_end(at + 2, end) : NULL;
            close = close ? close : memchr(at, '\n', (size_t)(end - at));
            at = close ? close : end;
        } else {
            break;
        }
    }
    return at;
}

/* Behind the string in quotes that begins at `at`. */
static const char *skip_quoted(const char *at, const char *end)
{
    char quote = *at++;
    while (at < end && *at != quote)
        at += *at == '\\' && end - at > 1 ? 2 : 1;
    return at < end ? at + 1 : end;
}

/* Behind a string, a word, or another character. */
static const char *skip_token(const char *at, const char *end)
{
    const char *close = *at == '[' ? long_end(at, end) : NULL;
    if (close)
        return close;
    if (*at == '"' || *at == '\'')
        return skip_quoted(at, end);
    close = at;
    while (close < end && is_of_word(*close))
        close++;
    return close > at ? close : at + 1;
}

/* The key of a field `name = …` or `["name"] = …` that begins at `at`: its first byte, and its size. NULL: the
 * field has no such key. */
static const char *key_of(const char *at, const char *end, size_t *size)
{
    const char *key = at, *close;
    bool bracketed = *at == '[' && !long_end(at, end);
    if (bracketed)
        key = skip_blanks(at + 1, end);
    if (key == end || (bracketed ? *key != '"' && *key != '\'' : !is_of_word(*key)))
        return NULL;
    close = skip_token(key, end);
    *size = (size_t)(close - key) - (bracketed ? 2 : 0);
    at = skip_blanks(close, end);
    if (bracketed)
        at = at < end && *at == ']' ? skip_blanks(at + 1, end) : end;
    return end - at > 1 && at[0] == '=' && at[1] != '=' ? key + bracketed : NULL;
}

/* Notes the key of the table with that number in the table of Lua on the top. Whether it is there already; then
 * pushes it. */
static bool is_repeated(lua_State *L, int number, const char *key, size_t size)
{
    int seen = lua_gettop(L);
    lua_pushlstring(L, key, size);
    lua_pushfstring(L, "%d %s", number, lua_tostring(L, -1));
    lua_pushvalue(L, -1);
    if (lua_rawget(L, seen) != LUA_TNIL) {
        lua_settop(L, seen + 1);
        return true;
    }
    lua_pop(L, 1);
    lua_pushboolean(L, true);
    lua_rawset(L, seen);
    lua_settop(L, seen);
    return false;
}

/* By how many blocks the text is deeper behind the token: 1, 0 or -1. A word with `do` has one block. */
static int block_change(const char *at, const char *token_end)
{
    static const struct block_word {
        const char *word;
        int change;
    } words[] = { { "function", 1 }, { "do", 1 },   { "if", 1 },
                  { "repeat", 1 },   { "end", -1 }, { "until", -1 } };
    size_t size = (size_t)(token_end - at);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strlen(words[i].word) == size && memcmp(at, words[i].word, size) == 0)
            return words[i].change;
    return 0;
}

/* Behind the block that begins at `at`, or else behind the token: in a block, as in the body of a function, commas
 * divide other things than fields. */
static const char *skip_block(const char *at, const char *end)
{
    int depth = 0;
    do {
        const char *token_end = skip_token(at, end);
        depth += block_change(at, token_end);
        at = depth > 0 ? skip_blanks(token_end, end) : token_end;
    } while (depth > 0 && at < end);
    return at;
}

bool config_keys_push_repeated(lua_State *L, const char *text, size_t size)
{
    const char *at = text, *end = text + size, *key;
    int numbers[DEPTH_MAX], depth = -1, tables = 0;
    bool begins = false, repeated = false; /* begins: a field of a table may begin here */
    lua_newtable(L);
    while (!repeated && (at = skip_blanks(at, end)) < end) {
        size_t length = 0;
        key = begins && depth >= 0 && depth < DEPTH_MAX ? key_of(at, end, &length) : NULL;
        repeated = key && is_repeated(L, numbers[depth], key, length);
        begins = *at == '{' || *at == ',' || *at == ';';
        if (*at == '{' && ++depth < DEPTH_MAX)
            numbers[depth] = tables++;
        else if (*at == '}' && depth >= 0)
            depth--;
        at = skip_block(at, end);
    }
    lua_remove(L, repeated ? -2 : -1);
    return repeated;
}
