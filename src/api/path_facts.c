#include "api/path_facts.h"

#include <lauxlib.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

/* File systems of several machines (linux/magic.h and statfs(2) have the numbers). */
static const struct file_system {
    unsigned long type;
    const char *name;
} network[] = {
    { 0x6969, "NFS" },      { 0xFF534D42, "CIFS" },   { 0xFE534D42, "SMB" },
    { 0x517B, "SMB" },      { 0x5346414F, "AFS" },    { 0x00C36400, "Ceph" },
    { 0x01021997, "9P" },   { 0x0BD00BD0, "Lustre" }, { 0x7461636F, "OCFS2" },
    { 0x01161970, "GFS2" }, { 0x73757245, "Coda" },   { 0x47504653, "GPFS" },
};

static const char *network_name(const char *path)
{
    struct statfs facts;
    if (statfs(path, &facts) != 0)
        return NULL;
    for (size_t i = 0; i < sizeof network / sizeof network[0]; i++)
        if (network[i].type == ((unsigned long)facts.f_type & 0xFFFFFFFF))
            return network[i].name;
    return NULL;
}

static const char *kind_of(const struct stat *it)
{
    if (S_ISREG(it->st_mode))
        return "file";
    return S_ISDIR(it->st_mode) ? "folder" : "other";
}

int path_facts_l_kind(lua_State *L)
{
    struct stat it;
    const char *path = luaL_checkstring(L, 1), *slash;
    if (stat(path, &it) == 0) {
        lua_pushstring(L, kind_of(&it));
        lua_pushstring(L, network_name(path));
        lua_pushinteger(L, it.st_size);
        lua_pushfstring(L, "%I:%I", (LUAI_UACINT)it.st_dev, (LUAI_UACINT)it.st_ino);
        return 4;
    }
    slash = strrchr(path, '/');
    if (slash)
        lua_pushlstring(L, path, (size_t)(slash - path) + 1);
    else
        lua_pushliteral(L, ".");
    lua_pushnil(L);
    lua_pushstring(L, network_name(lua_tostring(L, -2)));
    return 2;
}
