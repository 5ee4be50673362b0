#include "request/redact.h"

#include <ctype.h>
#include <lauxlib.h>
#include <string.h>
#include <strings.h>

#include "base/ascii.h"
#include "binding/error.h"

#define REDACTED "…"

/* ---- routes ---- */

/* Whether the segment is that name, in letters of any case. The script may have percent-encoded it: the
 * server decodes it. */
static bool is_segment(const char *segment, size_t size, const char *name)
{
    const char *end = segment + size;
    while (segment < end && *name && tolower((unsigned char)ascii_next_byte(&segment)) == *name)
        name++;
    return segment == end && !*name;
}

/* Of Orthanc, its DICOMweb plugin and its transfers plugin. */
static bool is_list_with_secrets(const char *segment, size_t size)
{
    static const char *const lists[] = { "jobs", "peers", "servers" };
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        if (is_segment(segment, size, lists[i]))
            return true;
    return false;
}

static bool has_list(const char *path)
{
    while (*path && *path != '?') {
        size_t n = strcspn(path, "/?");
        if (is_list_with_secrets(path, n))
            return true;
        path += n;
        path += *path == '/';
    }
    return false;
}

bool redact_is_needed(const char *server_path, const char *path)
{
    return has_list(server_path) || has_list(path);
}

bool redact_is_in(const char *server_path, const char *path, const char *body, size_t size)
{
    return redact_is_needed(server_path, path) &&
           memmem(body, size, REDACTED, sizeof REDACTED - 1) != NULL;
}

/* ---- names of secrets ---- */

/* Whether the name of a member, in letters of any case, without '-' and '_', says that its value is a
 * secret. Peers can have members of the user's own. */
static bool names_secret(const char *name)
{
    static const char *const words[] = { "password", "passwd",        "token",
                                         "secret",   "authorization", "credential",
                                         "apikey",   "cookie",        "privatekey" };
    char plain[64];
    size_t n = 0;
    for (; *name && n + 1 < sizeof plain; name++)
        if (*name != '-' && *name != '_')
            plain[n++] = (char)tolower((unsigned char)*name);
    plain[n] = '\0';
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strstr(plain, words[i]))
            return true;
    return false;
}

/* ---- values ---- */

/* The text on the top becomes REDACTED, unless it is empty. [-1, +1, m] */
static void hide(lua_State *L)
{
    if (lua_type(L, -1) == LUA_TNUMBER || lua_rawlen(L, -1) > 0) {
        lua_pop(L, 1);
        lua_pushliteral(L, REDACTED);
    }
}

/* The simple form of a peer: [ url, user, password ]. */
static bool is_simple_peer(lua_State *L, int table)
{
    bool is = lua_rawlen(L, table) >= 3 && lua_rawgeti(L, table, 1) == LUA_TSTRING &&
              strstr(lua_tostring(L, -1), "://");
    lua_settop(L, table);
    return is;
}

/* Whether the key at index is that of a secret in a table that is a simple peer, or whose members are
 * headers. */
static bool is_key_of_secret(lua_State *L, int key, bool headers, bool simple_peer)
{
    if (lua_type(L, key) == LUA_TSTRING)
        return headers || names_secret(lua_tostring(L, key));
    return simple_peer && lua_tointeger(L, key) > 2;
}

static bool is_headers(lua_State *L, int key)
{
    return lua_type(L, key) == LUA_TSTRING && strcasecmp(lua_tostring(L, key), "HttpHeaders") == 0;
}

/* The members of the table on the top, whose members are `headers`. JSON has at most JSON_DEPTH_MAX
 * levels. */
static void redact_table(lua_State *L, bool headers)
{
    int table = lua_gettop(L), key = table + 1, value = table + 2;
    bool simple_peer;
    luaL_checkstack(L, 6, "redacting an answer");
    simple_peer = is_simple_peer(L, table);
    for (lua_pushnil(L); lua_next(L, table); lua_settop(L, key)) {
        int type = lua_type(L, value);
        if (type == LUA_TTABLE) {
            redact_table(L, is_headers(L, key));
            continue;
        }
        if (type != LUA_TSTRING && type != LUA_TNUMBER)
            continue;
        if (is_key_of_secret(L, key, headers, simple_peer))
            hide(L);
        else if (type == LUA_TSTRING && strstr(lua_tostring(L, value), "://"))
            error_push_redacted(L, lua_tostring(L, value));
        else
            continue;
        lua_pushvalue(L, key);
        lua_insert(L, -2);
        lua_rawset(L, table);
    }
}

void redact_value(lua_State *L, int index)
{
    if (!lua_istable(L, index))
        return;
    lua_pushvalue(L, index);
    redact_table(L, false);
    lua_pop(L, 1);
}
