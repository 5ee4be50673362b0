#include "api/config_secret.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api/connect_options.h"
#include "base/nearest.h"
#include "base/own_file.h"
#include "base/utf8.h"
#include "binding/error.h"
#include "binding/interrupt.h"

extern char **environ;

enum {
    SECRET_MAX = 4096 /* bytes */,
    OUTPUT_MAX = 1 << 20 /* bytes; a command that prints more would perhaps never end */,
    NOT_FOUND = 127 /* the shell's exit status */,
    LOOK_MS = 50 /* between looks whether the run has to stop */,
    END_MS = 1000 /* that a command has to end after SIGTERM */
};

/* What is read of a file, or of a command. It hangs on a userdata, which ends all of it. */
typedef struct source {
    int fd;
    pid_t pid;     /* of the command; 0 = none */
    bool is_group; /* it is a group of processes of its own */
    bool at_end;   /* all has been read */
    size_t size;
    char text[SECRET_MAX];
    char rest[512]; /* of what comes behind the text, which may be secret too */
} source;

/* Whether the command exists, as a process that runs, or that nothing has waited for. When the host waits
 * for all its children, another process may have its number by now. Sets *runs. */
static bool exists(pid_t pid, bool *runs)
{
    siginfo_t end = { 0 };
    bool found = waitid(P_PID, (id_t)pid, &end, WEXITED | WNOHANG | WNOWAIT) == 0;
    *runs = found && end.si_pid == 0;
    return found;
}

/* Ends the command, which may be waiting for something that never comes. Where it is no group of its own,
 * only the shell is ended, not what the shell has started. */
static void end_command(const source *s)
{
    pid_t whom = s->is_group ? -s->pid : s->pid;
    bool runs;
    if (!exists(s->pid, &runs))
        return;
    kill(whom, SIGTERM);
    for (int waited = 0; waited < END_MS; waited += LOOK_MS) {
        if (waitpid(s->pid, NULL, WNOHANG) != 0)
            return;
        poll(NULL, 0, LOOK_MS);
    }
    kill(whom, SIGKILL);
    waitpid(s->pid, NULL, 0);
}

/* Both __gc and __close. */
static int source_close(lua_State *L)
{
    source *s = lua_touserdata(L, 1);
    if (s->fd >= 0)
        close(s->fd);
    if (s->pid > 0)
        end_command(s);
    s->fd = -1;
    s->pid = 0;
    explicit_bzero(s->text, sizeof s->text);
    explicit_bzero(s->rest, sizeof s->rest);
    return 0;
}

/* Pushes it as a variable that is to be closed. [-0, +1, m] */
static source *push_source(lua_State *L)
{
    source *s = lua_newuserdatauv(L, sizeof *s, 0);
    memset(s, 0, sizeof *s);
    s->fd = -1;
    lua_createtable(L, 0, 2);
    lua_pushcfunction(L, source_close);
    lua_setfield(L, -2, "__gc");
    lua_pushcfunction(L, source_close);
    lua_setfield(L, -2, "__close");
    lua_setmetatable(L, -2);
    lua_toclose(L, -1);
    return s;
}

/* Waits until there is something to read. False: the command has ended, and its line is there; a process
 * that it has left in the background, such as an agent, keeps the pipe open. Throws when the run has to
 * stop. [-0, +0, v] */
static bool wait_for_text(lua_State *L, const source *s)
{
    struct pollfd from = { .fd = s->fd, .events = POLLIN };
    bool runs = true;
    for (;;) {
        interrupt_look(L);
        if (poll(&from, 1, runs ? LOOK_MS : 0) > 0)
            return true;
        if (!runs)
            return false;
        if (s->pid > 0 && memchr(s->text, '\n', s->size))
            exists(s->pid, &runs);
    }
}

/* Reads all, so that a command which prints more is not ended by SIGPIPE, and keeps the beginning.
 * Returns what is wrong, or NULL. [-0, +0, v] */
static const char *read_all(lua_State *L, source *s)
{
    size_t size = 0;
    ssize_t n = 1;
    while (n != 0) {
        bool full = s->size == sizeof s->text;
        if (full && !memchr(s->text, '\n', sizeof s->text))
            return "its first line is longer than 4 KB";
        if (size > OUTPUT_MAX)
            return "it is longer than 1 MB";
        if (!wait_for_text(L, s))
            break;
        n = read(s->fd, full ? s->rest : s->text + s->size,
                 full ? sizeof s->rest : sizeof s->text - s->size);
        if (n < 0 && errno != EINTR)
            return strerror(errno);
        s->size += n > 0 && !full ? (size_t)n : 0;
        size += n > 0 ? (size_t)n : 0;
    }
    s->at_end = true;
    return NULL;
}

/* What is wrong; NULL: the first line has been read, without its end. [-0, +0, v] */
static const char *read_line(lua_State *L, source *s)
{
    size_t end;
    const char *fault = read_all(L, s);
    if (fault)
        return fault;
    end = utf8_mark_size(s->text, s->size);
    s->size -= end;
    memmove(s->text, s->text + end, s->size);
    for (end = 0; end < s->size && s->text[end] != '\n'; end++)
        ;
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

/* What is wrong with the file; NULL: its first line has been read. [-0, +0, v] */
static const char *read_file(lua_State *L, source *s, const char *path)
{
    const char *fault;
    s->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (s->fd < 0)
        return strerror(errno);
    fault = own_file_secret_fault(s->fd);
    return fault ? fault : read_line(L, s);
}

/* ---- a command ---- */

/* A group of its own can be ended as a whole. But at a terminal it would be in the background, where a
 * program that asks the user for something is stopped, and Ctrl-C would not reach it. */
static bool has_terminal(void)
{
    int fd = open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

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
    s->is_group = !has_terminal();
    posix_spawnattr_setflags(
        &attributes, (short)(POSIX_SPAWN_SETSIGMASK | (s->is_group ? POSIX_SPAWN_SETPGROUP : 0)));
    posix_spawnattr_setpgroup(&attributes, 0);
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

/* Waits for the end of the command. Returns waitpid's result. Throws when the run has to stop.
 * [-0, +0, v] */
static pid_t wait_for_end(lua_State *L, source *s, int *status)
{
    pid_t ended;
    int pause = 1; /* ms: most commands end at once */
    while ((ended = waitpid(s->pid, status, WNOHANG)) == 0) {
        interrupt_look(L);
        poll(NULL, 0, pause);
        pause = pause < LOOK_MS ? 2 * pause : LOOK_MS;
    }
    s->pid = 0;
    return ended;
}

/* What is wrong with the command; NULL: the first line of what it prints has been read. A command that
 * printed too much may go on: the source ends it. [-0, +(0|1), v] */
static const char *read_command(lua_State *L, source *s, const char *command)
{
    int status = 0, error = start(s, command);
    const char *fault;
    if (error != 0)
        return strerror(error);
    fault = read_line(L, s);
    if (!s->at_end)
        return fault;
    close(s->fd);
    s->fd = -1;
    if (wait_for_end(L, s, &status) < 0) /* the host does not want to know how its children end */
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

/* What stands for an option of connect. */
typedef struct secret_row {
    const char *file, *command; /* the fields */
    const char *name;           /* the option */
} secret_row;

static const secret_row secrets[] = { { "password_file", "password_command", "password" },
                                      { "token_file", "token_command", "token" },
                                      { "key_password_file", "key_password_command",
                                        "key_password" },
                                      { NULL, NULL, NULL } };

/* field: one of the row's. [-0, +0, v] */
static void resolve(lua_State *L, const char *file, const secret_row *row, const char *field)
{
    int server = lua_gettop(L);
    const char *fault, *given;
    source *s;
    if (!take_field(L, file, field))
        return;
    given = lua_tostring(L, -1);
    if (lua_getfield(L, server, row->name) != LUA_TNIL)
        error_usage(L, "connect, by %s: give '%s' or '%s', not both", file, row->name, field);
    s = push_source(L);
    fault =
        field == row->file ? read_file(L, s, push_path(L, file, given)) : read_command(L, s, given);
    if (fault)
        error_usage(L, "connect, by %s: the secret of '%s' cannot be read: %s", file, field, fault);
    lua_pushlstring(L, s->text, s->size);
    lua_setfield(L, server, row->name);
    lua_settop(L, server);
}

/* options_read does not know these names, so it would not suggest them for misspelt ones. [-0, +0, v] */
static void check_spelling(lua_State *L, const char *file)
{
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
        nearest n = nearest_for(lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "");
        const char *own;
        nearest_search(&n, connect_options_rows, sizeof *connect_options_rows);
        own = n.name;
        nearest_search(&n, &secrets->file, sizeof *secrets);
        nearest_search(&n, &secrets->command, sizeof *secrets);
        if (n.name != own && n.distance > 0)
            error_usage(L, "connect, by %s: unknown option '%s'; did you mean '%s'?", file, n.word,
                        n.name);
    }
}

void config_secret_resolve(lua_State *L, const char *file)
{
    luaL_checkstack(L, LUA_MINSTACK, "a secret");
    check_spelling(L, file);
    for (const secret_row *row = secrets; row->name; row++) {
        resolve(L, file, row, row->file);
        resolve(L, file, row, row->command);
    }
}
