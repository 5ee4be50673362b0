#include "lopts.h"

#include <ctype.h>
#include <lauxlib.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { NAME_MAX_LENGTH = 40 };

/* ---- "did you mean" ---- */

static unsigned smaller(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* How many letters must be put in, left out, changed or swapped to make one word of the other; case
 * does not matter. */
static unsigned edits(const char *a, const char *b)
{
    unsigned rows[3][NAME_MAX_LENGTH + 1]; /* the last two rows and the present one */
    size_t na = strlen(a), nb = strlen(b);
    if (na > NAME_MAX_LENGTH || nb > NAME_MAX_LENGTH)
        return NAME_MAX_LENGTH;
    for (size_t j = 0; j <= nb; j++)
        rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= na; i++) {
        unsigned *now = rows[i % 3];
        const unsigned *one = rows[(i + 2) % 3], *two = rows[(i + 1) % 3];
        now[0] = (unsigned)i;
        for (size_t j = 1; j <= nb; j++) {
            int ca = tolower((unsigned char)a[i - 1]), cb = tolower((unsigned char)b[j - 1]);
            now[j] = smaller(smaller(one[j], now[j - 1]) + 1, one[j - 1] + (ca != cb));
            if (i > 1 && j > 1 && ca == tolower((unsigned char)b[j - 2]) &&
                tolower((unsigned char)a[i - 2]) == cb)
                now[j] = smaller(now[j], two[j - 2] + 1);
        }
    }
    return rows[na % 3][nb];
}

static const char *nearest(const char *word, const lopt *rows)
{
    unsigned best = 1 + (unsigned)strlen(word) / 4;
    const char *name = NULL;
    for (; rows->name; rows++) {
        unsigned distance = edits(word, rows->name);
        if (distance <= best && (!name || distance < best)) {
            best = distance;
            name = rows->name;
        }
    }
    return name;
}

static void push_names(lua_State *L, const lopt *rows)
{
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (size_t i = 0; rows[i].name; i++) {
        if (i > 0)
            luaL_addstring(&b, rows[i + 1].name ? ", " : " and ");
        luaL_addstring(&b, rows[i].name);
    }
    luaL_pushresult(&b);
}

static int throw_unknown(lua_State *L, const char *function, const char *key, const lopt *rows)
{
    const char *meant = nearest(key, rows);
    if (meant)
        return luaL_error(L, "%s: unknown option '%s'; did you mean '%s'?", function, key, meant);
    push_names(L, rows);
    return luaL_error(L, "%s: unknown option '%s'; there are %s", function, key,
                      lua_tostring(L, -1));
}

/* ---- values ---- */

static int throw_wrong(lua_State *L, const char *function, const char *name, const char *wanted)
{
    return luaL_error(L, "%s: option '%s' must be %s (a %s was given)", function, name, wanted,
                      luaL_typename(L, -1));
}

static void read_seconds(lua_State *L, const char *function, const lopt *row, double *into)
{
    lua_Number seconds = lua_tonumber(L, -1);
    if (lua_type(L, -1) != LUA_TNUMBER || !(seconds > 0))
        throw_wrong(L, function, row->name,
                    "a number of seconds above 0, or math.huge for no limit");
    *into = seconds == HUGE_VAL ? 0 : seconds;
}

static void read_count(lua_State *L, const char *function, const lopt *row, unsigned *into)
{
    lua_Integer count = lua_tointeger(L, -1);
    if (lua_type(L, -1) != LUA_TNUMBER || count < 1 || count > 1000000)
        throw_wrong(L, function, row->name, "a whole number, 1 or more");
    *into = (unsigned)count;
}

/* The value is on the top. */
static void read_value(lua_State *L, const char *function, const lopt *row, char *into)
{
    void *field = into + row->offset;
    switch (row->type) {
    case LOPT_STRING:
        if (lua_type(L, -1) != LUA_TSTRING || strlen(lua_tostring(L, -1)) != lua_rawlen(L, -1))
            throw_wrong(L, function, row->name, "a string without NUL");
        *(const char **)field = lua_tostring(L, -1);
        break;
    case LOPT_SECONDS: read_seconds(L, function, row, field); break;
    case LOPT_COUNT: read_count(L, function, row, field); break;
    case LOPT_FLAG:
        if (!lua_isboolean(L, -1))
            throw_wrong(L, function, row->name, "true or false");
        *(bool *)field = lua_toboolean(L, -1);
        break;
    case LOPT_TABLE:
        if (!lua_istable(L, -1))
            throw_wrong(L, function, row->name, "a table");
        break;
    }
}

static const lopt *find_row(const lopt *rows, const char *key)
{
    for (; rows->name; rows++)
        if (strcmp(rows->name, key) == 0)
            return rows;
    return NULL;
}

void lopts_read(lua_State *L, int index, const char *function, const lopt *rows, void *into)
{
    index = lua_absindex(L, index);
    if (lua_isnoneornil(L, index))
        return;
    if (!lua_istable(L, index))
        luaL_error(L, "%s: options must be a table (a %s was given)", function,
                   luaL_typename(L, index));
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        const lopt *row;
        if (lua_type(L, -2) != LUA_TSTRING)
            luaL_error(L, "%s: an option's name must be a string (a %s was given)", function,
                       luaL_typename(L, -2));
        row = find_row(rows, lua_tostring(L, -2));
        if (!row)
            throw_unknown(L, function, lua_tostring(L, -2), rows);
        read_value(L, function, row, into);
    }
}
