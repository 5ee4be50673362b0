#include "api/config_file.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/nearest.h"
#include "binding/error.h"

enum { SIZE_LIMIT = 1 << 16 };

/* ---- the file ---- */

static _Noreturn void unusable(lua_State *L, const char *file, const char *why)
{
    error_usage(L, "connect: the file of servers, %s, cannot be used: %s", file, why);
}

/* Reads at most `room` bytes. Returns their number, or -1 with errno; ENOENT: there is no file. */
static ssize_t read_file(const char *file, struct stat *what, char *into, size_t room)
{
    size_t size = 0;
    ssize_t n = 1;
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK), error; /* a pipe would block here */
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

/* Pushes the file's text; false, and pushes nothing: there is no such file. */
static bool push_text(lua_State *L, const char *file, struct stat *what)
{
    char text[SIZE_LIMIT];
    ssize_t size = read_file(file, what, text, sizeof text);
    if (size < 0 && errno == ENOENT)
        return false;
    if (size < 0)
        unusable(L, file, strerror(errno));
    if (size == sizeof text || !S_ISREG(what->st_mode))
        unusable(L, file, "it is no file, or too large to be one of these");
    lua_pushlstring(L, text, (size_t)size);
    return true;
}

/* What Lua found is on the top: what it quotes of the text, after this, may be a password. */
static _Noreturn void wrong_text(lua_State *L, const char *file, const char *quoted)
{
    const char *message = luaL_tolstring(L, -1, NULL), *quote = strstr(message, quoted);
    lua_pushlstring(L, message, quote ? (size_t)(quote - message) : strlen(message));
    unusable(L, file, lua_tostring(L, -1));
}

/* Replaces the text on the top by the table that it makes. */
static void run_text(lua_State *L, const char *file)
{
    size_t size;
    const char *text = lua_tolstring(L, -1, &size);
    lua_pushfstring(L, "@%s", file);
    if (luaL_loadbufferx(L, text, size, lua_tostring(L, -1), "t") == LUA_OK) {
        lua_newtable(L);
        lua_setupvalue(L, -2, 1); /* _ENV: it sees nothing */
        if (lua_pcall(L, 0, 1, 0) != LUA_OK)
            wrong_text(L, file, " (global '");
        if (!lua_istable(L, -1))
            unusable(L, file, "it gives no table (does it begin with `return`?)");
    } else {
        wrong_text(L, file, " near '");
    }
    lua_replace(L, -3);
    lua_pop(L, 1);
}

/* ---- secrets ---- */

/* Whether the options at index have one. Headers are taken for secrets whatever they are. */
static bool has_secret(lua_State *L, int options)
{
    static const char *const names[] = { "password", "token", "headers" };
    static const char *const urls[] = { "url", "proxy" };
    bool secret = false;
    for (size_t i = 0; i < 3 && !secret; i++) {
        secret = lua_getfield(L, options, names[i]) != LUA_TNIL;
        lua_pop(L, 1);
    }
    for (size_t i = 0; i < 2 && !secret; i++) {
        secret =
            lua_getfield(L, options, urls[i]) == LUA_TSTRING && strchr(lua_tostring(L, -1), '@');
        lua_pop(L, 1);
    }
    return secret;
}

/* The table of servers is on the top. */
static void check_secrets(lua_State *L, const char *file, const struct stat *what)
{
    int servers = lua_gettop(L);
    bool secret = false;
    for (lua_pushnil(L); !secret && lua_next(L, servers); lua_settop(L, servers + 1))
        secret = lua_istable(L, -1) && has_secret(L, servers + 2);
    lua_settop(L, servers);
    if (secret && (what->st_mode & (S_IRWXG | S_IRWXO)) != 0)
        unusable(L, file,
                 lua_pushfstring(L,
                                 "it holds a password, and is not its owner's alone: chmod 600 "
                                 "%s",
                                 file));
    if (secret && what->st_uid != geteuid() && what->st_uid != 0)
        unusable(L, file, "it holds a password, and belongs to another user");
}

/* ---- the server ---- */

/* The table of servers is at the index. */
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
    error_usage(L, "connect: there is no server '%s' in %s", name, file);
}

/* Pushes the name to look for; false: there is none. The file's table is at index. */
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
    return type == LUA_TSTRING;
}

bool config_file_push(lua_State *L, const char *file, const char *name)
{
    struct stat what;
    int table = lua_gettop(L) + 1;
    if (!file && name)
        error_usage(L, "connect: there is no file of servers here, so no profile '%s'", name);
    if (!file || !push_text(L, file, &what)) {
        if (name)
            unusable(L, file, "there is no such file");
        return false;
    }
    run_text(L, file);
    if (lua_getfield(L, table, "servers") != LUA_TTABLE)
        unusable(L, file, "it has no table `servers`");
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
                 lua_pushfstring(L, "the server '%s' is no table with a url",
                                 lua_tostring(L, table + 2)));
    lua_settop(L, table + 3);
    lua_replace(L, table);
    lua_settop(L, table);
    return true;
}
