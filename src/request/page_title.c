#include "request/page_title.h"

#include <lauxlib.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "base/ascii.h"

enum { LOOK_BYTES = 16384, TITLE_MAX = 200 };

static const struct entity {
    const char *name, *text;
} entities[] = { { "&amp;", "&" }, { "&lt;", "<" },   { "&gt;", ">" },  { "&quot;", "\"" },
                 { "&#39;", "'" }, { "&#039;", "'" }, { "&nbsp;", " " } };

/* Where the text begins, in any case of its letters; NULL: nowhere. */
static const char *find(const char *at, const char *end, const char *text)
{
    size_t n = strlen(text);
    for (; (size_t)(end - at) >= n; at++)
        if (strncasecmp(at, text, n) == 0)
            return at;
    return NULL;
}

/* Adds a character, or what an entity stands for, and moves behind it. */
static const char *add_character(luaL_Buffer *b, const char *at, const char *end)
{
    for (size_t i = 0; *at == '&' && i < sizeof entities / sizeof entities[0]; i++) {
        size_t n = strlen(entities[i].name);
        if ((size_t)(end - at) >= n && strncmp(at, entities[i].name, n) == 0) {
            luaL_addstring(b, entities[i].text);
            return at + n;
        }
    }
    luaL_addchar(b, *at);
    return at + 1;
}

void page_title_push(lua_State *L, const char *page, size_t size)
{
    const char *end = page + (size < LOOK_BYTES ? size : LOOK_BYTES), *at, *title_end;
    bool gap = false;
    luaL_Buffer b;
    at = page ? find(page, end, "<title") : NULL;
    at = at ? memchr(at, '>', (size_t)(end - at)) : NULL;
    title_end = at ? find(++at, end, "</title") : NULL;
    luaL_buffinit(L, &b);
    while (title_end && at < title_end && luaL_bufflen(&b) < TITLE_MAX) {
        if (ascii_is_blank(*at)) {
            gap = luaL_bufflen(&b) > 0;
            at++;
            continue;
        }
        if (gap)
            luaL_addchar(&b, ' ');
        gap = false;
        at = add_character(&b, at, title_end);
    }
    luaL_pushresult(&b);
    if (lua_rawlen(L, -1) == 0) {
        lua_pushnil(L);
        lua_replace(L, -2);
    }
}
