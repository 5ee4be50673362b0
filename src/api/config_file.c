#include "api/config_file.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/config_keys.h"
#include "api/connect_options.h"
#include "base/nearest.h"
#include "base/utf8.h"
#include "binding/error.h"

enum { SIZE_LIMIT = 1 << 16 /* bytes */ };

/* ---- the file ---- */

static _Noreturn void unusable(lua_State *L, const char *file, const char *why)
{
    error_usage(L, "connect: the configuration file %s cannot be used: %s", file, why);
}

/* Reads at most `room` bytes, and fills *what. Returns their number, or -1 with errno. */
static ssize_t read_file(const char *file, struct stat *what, char *into, size_t room)
{
    size_t size = 0;
    ssize_t n = 1;
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* without O_NONBLOCK a pipe blocks */
    int error;
    if (fd < 0)
        return -1;
    if (fstat(fd, what) != 0)
        n = -1;
    while (n > 0 && size < room) {
        n = read(fd, into + size, room - size);
        if (n > 0)
            size += (size_t)n;
    }
    error = errno;
    close(fd);
    errno = error;
    return n < 0 ? -1 : (ssize_t)size;
}

/* Pushes the text of the file. False, and pushes nothing: there is no such file. [-0, +(0|1), v] */
static bool push_file_text(lua_State *L, const char *file, struct stat *what)
{
    char *text = lua_newuserdatauv(L, SIZE_LIMIT, 0); /* too large for the C stack of a thread */
    ssize_t size = read_file(file, what, text, SIZE_LIMIT);
    if (size < 0 && errno == ENOENT) {
        lua_pop(L, 1);
        return false;
    }
    if (size < 0)
        unusable(L, file, strerror(errno));
    if (size == SIZE_LIMIT || !S_ISREG(what->st_mode))
        unusable(L, file, "it is not a regular file, or larger than 64 KB");
    lua_pushlstring(L, text, (size_t)size);
    lua_replace(L, -2);
    return true;
}

/* Throws the error of Lua that is on the top, up to where it begins to quote the text of the file:
 * the quotation may be a password. */
static _Noreturn void wrong_text(lua_State *L, const char *file, const char *quotation)
{
    const char *message = luaL_tolstring(L, -1, NULL), *end = strstr(message, quotation);
    lua_pushlstring(L, message, end ? (size_t)(end - message) : strlen(message));
    unusable(L, file, lua_tostring(L, -1));
}

/* Replaces the text on the top by the table that it returns. [-1, +1, v] */
static void evaluate_file(lua_State *L, const char *file)
{
    size_t size;
    const char *text = lua_tolstring(L, -1, &size);
    size_t skipped = utf8_mark_size(text, size);
    lua_pushfstring(L, "@%s", file);
    if (luaL_loadbufferx(L, text + skipped, size - skipped, lua_tostring(L, -1), "t") == LUA_OK) {
        lua_newtable(L);
        lua_setupvalue(L, -2, 1); /* _ENV */
        if (lua_pcall(L, 0, 1, 0) != LUA_OK)
            wrong_text(L, file, " (global '");
        if (!lua_istable(L, -1))
            unusable(L, file, "it returns no table (does it begin with `return`?)");
        if (config_keys_push_repeated(L, text, size))
            unusable(
                L, file,
                lua_pushfstring(L, "it has '%s' twice in a table, and Lua would take the last one",
                                lua_tostring(L, -1)));
    } else {
        wrong_text(L, file, " near '");
    }
    lua_replace(L, -3);
    lua_pop(L, 1);
}

/* ---- secrets ---- */

/* Whether the value of an option, on the top, is a secret, or has one inside. */
static bool is_secret(lua_State *L, connect_secrecy secrecy)
{
    if (secrecy == CONNECT_URL)
        return lua_type(L, -1) == LUA_TSTRING && strchr(lua_tostring(L, -1), '@');
    return secrecy == CONNECT_PASSWORD || secrecy == CONNECT_SECRET;
}

/* Whether a server, the table at index, has a secret among its options. */
static bool has_secret(lua_State *L, int server)
{
    bool found = false;
    for (size_t i = 0; connect_options_rows[i].name && !found; i++) {
        if (lua_getfield(L, server, connect_options_rows[i].name) != LUA_TNIL)
            found = is_secret(L, connect_options_traits[i].secrecy);
        lua_pop(L, 1);
    }
    return found;
}

/* The table of servers is on the top. [-0, +0, v] */
static void check_secrets(lua_State *L, const char *file, const struct stat *what)
{
    int servers = lua_gettop(L);
    bool secret = false;
    for (lua_pushnil(L); !secret && lua_next(L, servers); lua_settop(L, servers + 1))
        secret = lua_istable(L, -1) && has_secret(L, servers + 2);
    lua_settop(L, servers);
    if (secret && (what->st_mode & (S_IRWXG | S_IRWXO)) != 0)
        unusable(L, file,
                 lua_pushfstring(L, "it holds a secret, and other users may read it: chmod 600 %s",
                                 file));
    if (secret && what->st_uid != geteuid() && what->st_uid != 0)
        unusable(L, file, "it holds a secret, and belongs to another user");
}

/* ---- the server ---- */

/* A misspelt `default` would otherwise be no default, and another server be asked. The table of the file
 * is at index. [-0, +0, v] */
static void check_keys(lua_State *L, int table, const char *file)
{
    static const char *const known[] = { "default", "servers", NULL };
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
        const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
        nearest n = nearest_for(key);
        if (strcmp(key, known[0]) == 0 || strcmp(key, known[1]) == 0)
            continue;
        nearest_search(&n, known, sizeof *known);
        unusable(L, file,
                 lua_pushfstring(L, "unknown key '%s'; %s%s%s", luaL_tolstring(L, -2, NULL),
                                 n.name ? "did you mean '" : "it can have `default` and `servers`",
                                 n.name ? n.name : "", n.name ? "'?" : ""));
    }
}

/* Pushes the names of the servers, in alphabetical order: "archive, pacs". Their table is at index.
 * [-0, +1, v] */
static void push_names(lua_State *L, int servers)
{
    int first = lua_gettop(L) + 1, end, at;
    luaL_Buffer b;
    for (lua_pushnil(L); lua_next(L, servers);) {
        lua_pop(L, 1);
        if (lua_type(L, -1) != LUA_TSTRING)
            continue;
        luaL_checkstack(L, LUA_MINSTACK, NULL);
        end = lua_gettop(L);
        for (at = first; at < end && strcmp(lua_tostring(L, at), lua_tostring(L, end)) < 0; at++)
            ;
        lua_pushvalue(L, end); /* the key stays on the top, for lua_next */
        lua_insert(L, at);
    }
    end = lua_gettop(L);
    luaL_buffinit(L, &b);
    for (at = first; at <= end; at++) {
        luaL_addstring(&b, at > first ? ", " : "");
        lua_pushvalue(L, at);
        luaL_addvalue(&b);
    }
    luaL_pushresult(&b);
}

/* Otherwise a server without a name would be left out silently. The table of servers is at index.
 * [-0, +0, v] */
static void check_servers_named(lua_State *L, int servers, const char *file)
{
    for (lua_pushnil(L); lua_next(L, servers); lua_pop(L, 1))
        if (lua_type(L, -2) != LUA_TSTRING)
            unusable(L, file, "a server has no name: write servers = { name = { url = … } }");
}

/* The table of servers is at index. */
static _Noreturn void unknown_server(lua_State *L, int servers, const char *file, const char *name)
{
    nearest h = nearest_for(name);
    for (lua_pushnil(L); lua_next(L, servers); lua_pop(L, 1)) {
        const char *row[] = { lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL, NULL };
        nearest_search(&h, row, sizeof *row);
    }
    if (h.name)
        error_usage(L, "connect: there is no server '%s' in %s; did you mean '%s'?", name, file,
                    h.name);
    push_names(L, servers);
    error_usage(L, "connect: there is no server '%s' in %s; it has %s", name, file,
                lua_rawlen(L, -1) > 0 ? lua_tostring(L, -1) : "none");
}

/* Pushes the name of the only server of the table at index. False, and pushes nothing: there are none,
 * or several. [-0, +(0|1), v] */
static bool push_only_name(lua_State *L, int servers)
{
    int top = lua_gettop(L);
    lua_pushnil(L);
    if (lua_next(L, servers) && lua_type(L, top + 1) == LUA_TSTRING) {
        lua_settop(L, top + 1);
        lua_pushvalue(L, top + 1);
        if (!lua_next(L, servers))
            return true;
    }
    lua_settop(L, top);
    return false;
}

/* Without a choice no server is asked: one at http://localhost:8042 would be none of those that the
 * user has named. The table of servers, which has several, is at index. */
static _Noreturn void no_choice(lua_State *L, int servers, const char *file)
{
    push_names(L, servers);
    error_usage(
        L,
        "connect: %s has several servers (%s) and no `default`: name one of them as profile, "
        "or give a URL",
        file, lua_tostring(L, -1));
}

/* Pushes the name of the server: `name`, or else the default of the file, whose table is at index and
 * has the table of servers above it. Without a default, an only server is it, and of several one must be
 * chosen. False, and pushes nothing: there are no servers. [-0, +(0|1), v] */
static bool push_name(lua_State *L, int table, const char *file, const char *name)
{
    int type;
    if (name) {
        lua_pushstring(L, name);
        return true;
    }
    type = lua_getfield(L, table, "default");
    if (type != LUA_TNIL && type != LUA_TSTRING)
        unusable(L, file, "`default` must be the name of a server");
    if (type == LUA_TSTRING)
        return true;
    lua_pop(L, 1);
    if (push_only_name(L, table + 1))
        return true;
    lua_pushnil(L);
    if (lua_next(L, table + 1))
        no_choice(L, table + 1, file);
    return false;
}

bool config_file_push(lua_State *L, const char *file, const char *name)
{
    struct stat what;
    int table = lua_gettop(L) + 1;
    if (!file && name)
        error_usage(L, "connect: there is no configuration file here, so no profile '%s'", name);
    if (!file || !push_file_text(L, file, &what)) {
        if (name)
            unusable(L, file, "there is no such file");
        return false;
    }
    evaluate_file(L, file);
    if (lua_getfield(L, table, "servers") != LUA_TTABLE)
        unusable(L, file, "it has no table `servers`");
    check_keys(L, table, file);
    check_servers_named(L, table + 1, file);
    check_secrets(L, file, &what);
    if (!push_name(L, table, file, name)) {
        lua_settop(L, table - 1);
        return false;
    }
    lua_pushvalue(L, -1);
    lua_rawget(L, table + 1);
    if (lua_isnil(L, -1))
        unknown_server(L, table + 1, file, lua_tostring(L, table + 2));
    if (!lua_istable(L, -1) || lua_getfield(L, -1, "url") != LUA_TSTRING)
        unusable(L, file,
                 lua_pushfstring(L, "the server '%s' is not a table with a url",
                                 lua_tostring(L, table + 2)));
    lua_settop(L, table + 3);
    lua_replace(L, table);
    lua_settop(L, table);
    return true;
}
