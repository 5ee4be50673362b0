#include "api/whole_file.h"

#include <errno.h>
#include <lauxlib.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "base/partial_file.h"

#define TYPE "modalua.WholeFile"

typedef struct whole_file {
    int fd; /* below 0: it is closed */
    off_t at;
    size_t part; /* where the name of the partial file begins in `name` */
    char name[]; /* of the file, and behind its NUL that of the partial file */
} whole_file;

static whole_file *check(lua_State *L)
{
    return luaL_checkudata(L, 1, TYPE);
}

static const char *reason_of(int error)
{
    switch (error) {
    case EEXIST: return "it is a device or a pipe, and not a file";
    case EBUSY: return "another process is writing it";
    default: return strerror(error);
    }
}

/* Pushes true, or nil and the reason. */
static int outcome(lua_State *L, int error)
{
    if (error == 0) {
        lua_pushboolean(L, true);
        return 1;
    }
    lua_pushnil(L);
    lua_pushstring(L, reason_of(error));
    return 2;
}

static void end(whole_file *f)
{
    if (f->fd >= 0)
        partial_file_abandon(f->fd, f->name + f->part);
    f->fd = -1;
}

static int l_close(lua_State *L)
{
    end(check(L));
    return 0;
}

static int l_write(lua_State *L)
{
    whole_file *f = check(L);
    size_t size;
    const char *text = luaL_checklstring(L, 2, &size);
    return outcome(L, f->fd < 0 ? EBADF : partial_file_write(f->fd, text, size, &f->at));
}

static int l_commit(lua_State *L)
{
    whole_file *f = check(L);
    int fd = f->fd;
    f->fd = -1;
    return outcome(L, fd < 0 ? EBADF : partial_file_commit(fd, f->name, f->name + f->part));
}

static const luaL_Reg methods[] = { { "write", l_write }, { "commit", l_commit }, { NULL, NULL } };
static const luaL_Reg meta[] = { { "__gc", l_close }, { "__close", l_close }, { NULL, NULL } };

static void set_type(lua_State *L)
{
    if (luaL_newmetatable(L, TYPE)) {
        luaL_setfuncs(L, meta, 0);
        lua_newtable(L);
        luaL_setfuncs(L, methods, 0);
        lua_setfield(L, -2, "__index");
        lua_pushboolean(L, false);
        lua_setfield(L, -2, "__metatable");
    }
    lua_setmetatable(L, -2);
}

int whole_file_l_open(lua_State *L)
{
    size_t size;
    const char *path = luaL_checklstring(L, 1, &size);
    whole_file *f;
    if (strlen(path) != size)
        return outcome(L, EINVAL);
    f = lua_newuserdatauv(L, sizeof *f + 2 * size + sizeof PARTIAL_FILE_SUFFIX + 1, 0);
    f->fd = -1;
    f->at = 0;
    f->part = size + 1;
    set_type(L);
    memcpy(f->name, path, size + 1);
    memcpy(f->name + f->part, path, size);
    strcpy(f->name + f->part + size, PARTIAL_FILE_SUFFIX);
    f->fd = partial_file_open(f->name, f->name + f->part);
    return f->fd < 0 ? outcome(L, errno) : 1;
}

int whole_file_l_same(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1), *other = luaL_checkstring(L, 2);
    struct stat a, b;
    bool same = strcmp(path, other) == 0;
    if (stat(path, &a) == 0 && stat(other, &b) == 0)
        same = a.st_dev == b.st_dev && a.st_ino == b.st_ino;
    lua_pushboolean(L, same);
    return 1;
}
