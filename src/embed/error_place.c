#include "embed/error_place.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "base/ascii.h"
#include "base/utf8.h"

enum { SOURCE_MAX = 1 << 20, TRIES_MAX = 50 }; /* a search that is longer is not worth it */

/* ---- module and line ---- */

/* The next ":DIGITS" from `at` on, before the end of the line; NULL: there is none. */
static const char *next_number(const char *at)
{
    for (; *at && *at != '\n'; at++)
        if (at[0] == ':' && ascii_is_digit(at[1]))
            return at;
    return NULL;
}

/* Takes the place that ends with the number behind `colon`. Returns the end of the number. */
static const char *take(const char *text, const char *colon, error_place *p)
{
    char *end;
    p->module = text;
    p->size = (size_t)(colon - text);
    p->line = strtol(colon + 1, &end, 10);
    return end;
}

bool error_place_read_where(const char *where, error_place *p)
{
    for (const char *at = where; (at = next_number(at)); at++)
        if (take(where, at, p)[0] == '\0' && p->size > 0)
            return true;
    return false;
}

/* Whether a line of the traceback is in that module. */
static bool has_module(const char *traceback, const error_place *p)
{
    while ((traceback = strstr(traceback, "\n\t"))) {
        traceback += 2;
        if (strncmp(traceback, p->module, p->size) == 0 && traceback[p->size] == ':')
            return true;
    }
    return false;
}

static bool find_in_message(const char *message, const char *traceback, error_place *p)
{
    for (const char *at = message; (at = next_number(at)); at++)
        if (take(message, at, p)[0] == ':' && p->size > 0 &&
            (!traceback || has_module(traceback, p)))
            return true;
    return false;
}

/* Lines of C functions and of the library are left out. */
static bool find_in_traceback(const char *traceback, error_place *p)
{
    while ((traceback = strstr(traceback, "\n\t"))) {
        const char *colon;
        traceback += 2;
        colon = next_number(traceback);
        if (strncmp(traceback, "[C]", 3) == 0 || strncmp(traceback, "modalua/", 8) == 0 || !colon)
            continue;
        if (take(traceback, colon, p)[0] == ':' && p->size > 0)
            return true;
    }
    return false;
}

bool error_place_has_line(const char *traceback)
{
    while ((traceback = strstr(traceback, "\n\t"))) {
        traceback += 2;
        if (strncmp(traceback, "[C]", 3) != 0 && next_number(traceback))
            return true;
    }
    return false;
}

bool error_place_find(const char *message, const char *traceback, error_place *p)
{
    return find_in_message(message, traceback, p) || (traceback && find_in_traceback(traceback, p));
}

/* ---- column ---- */

/* Whether the first `size` bytes of the source are wrong, and not only incomplete. [-0, +0, m] */
static bool is_wrong(lua_State *L, const char *source, size_t size)
{
    static const char incomplete[] = "near <eof>";
    int top = lua_gettop(L);
    bool wrong = false;
    if (luaL_loadbufferx(L, source, size, "=c", "t") == LUA_ERRSYNTAX) {
        size_t length;
        const char *message = lua_tolstring(L, -1, &length);
        wrong = length < sizeof incomplete - 1 ||
                strcmp(message + length - (sizeof incomplete - 1), incomplete) != 0;
    }
    lua_settop(L, top);
    return wrong;
}

/* The characters of the line before `at`, and one. */
static int column_at(const char *line, const char *at)
{
    int column = 1;
    for (; line < at; line++)
        column += !utf8_is_continuation(*line);
    return column;
}

/* The line with that number, from 1; NULL: there is none. */
static const char *find_line(const char *source, const char *end, long number)
{
    while (number-- > 1 && source) {
        source = memchr(source, '\n', (size_t)(end - source));
        source = source ? source + 1 : NULL;
    }
    return source;
}

/* Of the places where the token stands in the line, the first after which the source is wrong; the only
 * one, when an unfinished string makes none of them wrong. [-0, +0, m] */
static int find_token(lua_State *L, const char *source, const char *line, const char *end,
                      const char *token, size_t size)
{
    int tries = 0, column = 0;
    for (const char *at = line; size > 0 && at + size <= end && *at != '\n'; at++)
        if (memcmp(at, token, size) == 0 && ++tries <= TRIES_MAX) {
            column = column_at(line, at);
            if (is_wrong(L, source, (size_t)(at + size - source)))
                return column;
        }
    return tries == 1 ? column : 0;
}

int error_place_column(lua_State *L, const char *message, const char *source, size_t size)
{
    const char *near = NULL, *end = source + size, *line, *last = message + strlen(message) - 1;
    error_place p;
    for (const char *at = message; (at = strstr(at, " near ")); at++)
        near = at + 6;
    if (!near || size > SOURCE_MAX || !find_in_message(message, NULL, &p))
        return 0;
    line = find_line(source, end, p.line);
    if (!line)
        return 0;
    if (strcmp(near, "<eof>") == 0)
        return column_at(line, end);
    if (near[0] != '\'' || last <= near)
        return 0;
    return find_token(L, source, line, end, near + 1, (size_t)(last - near - 1));
}
