/* Records which lines of the Lua half are executed, for spec/coverage.sh. Only the preset coverage has it: there the library calls these
 * functions in place of Lua's (see CMakeLists.txt). A Lua hook that a script sets would miss the states of commands and C hosts, and would
 * not stay in place beside the hook of engine/stop.c. This hook has both masks and calls that one when its count is over.
 *
 * LINES_FOLDER has a file for each Lua file: a byte for each line, which is 1 when the line has been executed. All processes map the same
 * files, so a process that is killed loses nothing. */
#undef lua_sethook /* CMakeLists.txt has renamed them for the library */
#undef lua_gethook
#undef lua_newstate
#include <fcntl.h>
#include <lua.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILES = 256, LINES = 4096, NAME = 60 };

typedef struct lines_of {
    char source[NAME];
    unsigned char *lines; /* NULL: the file cannot be opened */
} lines_of;

static _Thread_local lines_of files[FILES];
static _Thread_local int count, last;

static _Atomic(lua_Hook) counted; /* the hook of the library; there is only one */

static unsigned char *map_lines(const char *source)
{
    char path[sizeof LINES_FOLDER + NAME];
    void *lines = MAP_FAILED;
    int file;
    snprintf(path, sizeof path, "%s/%s", LINES_FOLDER, source);
    for (char *c = path + sizeof LINES_FOLDER; *c; c++)
        if (*c == '/')
            *c = '.';
    file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (file >= 0 && ftruncate(file, LINES) == 0)
        lines = mmap(NULL, LINES, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (file >= 0)
        close(file);
    return lines == MAP_FAILED ? NULL : lines;
}

static unsigned char *lines_of_source(const char *source)
{
    if (count > 0 && strcmp(files[last].source, source) == 0)
        return files[last].lines;
    for (last = 0; last < count; last++)
        if (strcmp(files[last].source, source) == 0)
            return files[last].lines;
    if (count == FILES || strlen(source) >= NAME) {
        last = 0;
        return NULL;
    }
    count++;
    strcpy(files[last].source, source);
    files[last].lines = map_lines(source);
    return files[last].lines;
}

static void hook(lua_State *L, lua_Debug *ar)
{
    static const char ours[] = "=modalua/";
    unsigned char *lines;
    if (ar->event != LUA_HOOKLINE) {
        lua_Hook count = atomic_load(&counted);
        count(L, ar);
        return;
    }
    lua_getinfo(L, "S", ar);
    if (strncmp(ar->source, ours, sizeof ours - 1) != 0 || ar->currentline >= LINES)
        return;
    lines = lines_of_source(ar->source + sizeof ours - 1);
    if (lines)
        lines[ar->currentline] = 1;
}

/* In place of lua_sethook. */
void line_hook_set(lua_State *L, lua_Hook f, int mask, int every)
{
    if (f)
        atomic_store(&counted, f);
    lua_sethook(L, hook, LUA_MASKLINE | (f ? mask : 0), f ? every : 0);
}

/* In place of lua_gethook. */
lua_Hook line_hook_get(lua_State *L)
{
    if (lua_gethook(L) != hook)
        return lua_gethook(L);
    return lua_gethookmask(L) & LUA_MASKCOUNT ? atomic_load(&counted) : NULL;
}

/* In place of lua_newstate. */
lua_State *line_hook_newstate(lua_Alloc allocate, void *user)
{
    lua_State *L = lua_newstate(allocate, user);
    if (L)
        line_hook_set(L, NULL, 0, 0);
    return L;
}
