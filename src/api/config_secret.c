#include "api/config_secret.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/own_file.h"
#include "base/utf8.h"
#include "binding/error.h"

extern char **environ;

enum { SECRET_MAX = 4096 /* bytes */, NOT_FOUND = 127 /* the shell's exit status */ };

/* What is read of a file, or of a command. It hangs on a userdata, which ends all of it. */
typedef struct source {
    int fd;
    pid_t pid; /* of the command; 0 = none */
    size_t size;
    char text[SECRET_MAX];
} source;

static int source_gc(lua_State *L)
{
    source *s = lua_touserdata(L, 1);
    if (s->fd >= 0)
        close(s->fd);
    if (s->pid > 0)
        waitpid(s->pid, NULL, 0);
    s->fd = -1;
    s->pid = 0;
    explicit_bzero(s->text, sizeof s->text);
    return 0;
}

/* [-0, +1, m] */
static source *push_source(lua_State *L)
{
    source *s = lua_newuserdatauv(L, sizeof *s, 0);
    memset(s, 0, sizeof *s);
    s->fd = -1;
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, source_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    return s;
}

/* Reads all, so that a command which prints more is not ended by SIGPIPE, and keeps the beginning.
 * Returns 0, or an errno. */
static int read_all(source *s)
{
    char rest[512] = { 0 };
    ssize_t n = 1;
    while (n != 0) {
        bool full = s->size == sizeof s->text;
        n = read(s->fd, full ? rest : s->text + s->size,
                 full ? sizeof rest : sizeof s->text - s->size);
        if (n < 0 && errno != EINTR)
            return errno;
        s->size += n > 0 && !full ? (size_t)n : 0;
    }
    explicit_bzero(rest, sizeof rest);
    return 0;
}

/* What is wrong; NULL: the first line has been read, without its end. */
static const char *read_line(source *s)
{
    size_t end;
    int error = read_all(s);
    if (error != 0)
        return strerror(error);
    end = utf8_mark_size(s->text, s->size);
    s->size -= end;
    memmove(s->text, s->text + end, s->size);
    for (end = 0; end < s->size && s->text[end] != '\n'; end++)
        ;
    if (end == sizeof s->text)
        return "its first line is longer than 4 KB";
    if (end > 0 && s->text[end - 1] == '\r')
        end--;
    if (end == 0)
        return "its first line is empty";
    if (memchr(s->text, '\0', end))
        return "its first line has a NUL";
    s->size = end;
    return NULL;
}

/* ---- a file ---- */

/* Pushes the path of a file that the configuration file names: beside itself, or "~/…". [-0, +1, m] */
static const char *push_path(lua_State *L, const char *file, const char *name)
{
    const char *slash = strrchr(file, '/'), *home = getenv("HOME");
    if (name[0] == '~' && name[1] == '/' && home)
        return lua_pushfstring(L, "%s%s", home, name + 1);
    if (name[0] == '/' || !slash)
        return lua_pushstring(L, name);
    lua_pushlstring(L, file, (size_t)(slash - file) + 1);
    lua_pushstring(L, name);
    lua_concat(L, 2);
    return lua_tostring(L, -1);
}

/* What is wrong with the file; NULL: its first line has been read. */
static const char *read_file(source *s, const char *path)
{
    const char *fault;
    s->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (s->fd < 0)
        return strerror(errno);
    fault = own_file_secret_fault(s->fd);
    return fault ? fault : read_line(s);
}

/* ---- a command ---- */

/* Starts the command, whose standard output comes to s->fd. Returns 0, or an errno. */
static int start(source *s, const char *command)
{
    char *const words[] = { (char *)"sh", (char *)"-c", (char *)command, NULL };
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    int ends[2], error;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return errno;
    s->fd = ends[0];
    sigemptyset(&none);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setsigmask(&attributes, &none);
    error = posix_spawn_file_actions_init(&actions);
    if (error == 0) {
        error = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
        if (error == 0)
            error = posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
        if (error == 0)
            error = posix_spawn(&s->pid, "/bin/sh", &actions, &attributes, words, environ);
        posix_spawn_file_actions_destroy(&actions);
    }
    if (error != 0)
        s->pid = 0;
    posix_spawnattr_destroy(&attributes);
    close(ends[1]);
    return error;
}

/* What is wrong with the command; NULL: the first line of what it prints has been read. */
static const char *read_command(lua_State *L, source *s, const char *command)
{
    int status = 0, error = start(s, command);
    const char *fault;
    pid_t ended;
    if (error != 0)
        return strerror(error);
    fault = read_line(s);
    close(s->fd);
    s->fd = -1;
    do {
        ended = waitpid(s->pid, &status, 0);
    } while (ended < 0 && errno == EINTR);
    s->pid = 0;
    if (ended < 0) /* the host does not want to know how its children end */
        return fault;
    if (WIFSIGNALED(status))
        return lua_pushfstring(L, "it ended with the signal %d", WTERMSIG(status));
    if (WEXITSTATUS(status) == NOT_FOUND)
        return "the shell does not find the program (exit status 127)";
    if (WEXITSTATUS(status) != 0)
        return lua_pushfstring(L, "its exit status is %d", WEXITSTATUS(status));
    return fault;
}

/* ---- both ---- */

/* Whether the table of the server, on the top, has the field. Then it is a string, on the top.
 * [-0, +(0|1), v] */
static bool take_field(lua_State *L, const char *file, const char *field)
{
    int type = lua_getfield(L, -1, field);
    if (type == LUA_TNIL) {
        lua_pop(L, 1);
        return false;
    }
    if (type != LUA_TSTRING)
        error_usage(L, "connect, by %s: option '%s' must be a string", file, field);
    lua_pushnil(L);
    lua_setfield(L, -3, field);
    return true;
}

static void resolve(lua_State *L, const char *file, const char *option, const char *ending)
{
    int server = lua_gettop(L);
    const char *field = lua_pushfstring(L, "%s%s", option, ending), *fault, *given;
    source *s;
    lua_insert(L, server);
    if (!take_field(L, file, field)) {
        lua_remove(L, server);
        return;
    }
    given = lua_tostring(L, -1);
    if (lua_getfield(L, server + 1, option) != LUA_TNIL)
        error_usage(L, "connect, by %s: give '%s' or '%s', not both", file, option, field);
    s = push_source(L);
    fault = ending[1] == 'f' ? read_file(s, push_path(L, file, given)) : read_command(L, s, given);
    if (fault)
        error_usage(L, "connect, by %s: the secret of '%s' cannot be read: %s", file, field, fault);
    lua_pushlstring(L, s->text, s->size);
    lua_setfield(L, server + 1, option);
    lua_settop(L, server + 1);
    lua_remove(L, server);
}

void config_secret_resolve(lua_State *L, const char *file)
{
    static const char *const options[] = { "password", "token", "key_password" };
    luaL_checkstack(L, LUA_MINSTACK, "a secret");
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        resolve(L, file, options[i], "_file");
        resolve(L, file, options[i], "_command");
    }
}
