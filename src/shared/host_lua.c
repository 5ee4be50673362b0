/* shared/host_lua.c - luaopen_* of the shared library, for a lua_State of the host.
 *
 * That state belongs to the host's Lua, not to the one inside the library (packaging/shared.cmake), and a program may
 * contain Luas of other versions besides, with functions of the same names. So the code behind luaopen_*
 * calls Lua through the jumps below, and the first luaopen_* finds the functions that they jump to. When
 * the dynamic linker did that, it would take the first Lua of any version.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "shared/host_lua_names.h"
#include "modalua.h"

/* The shared library of Debian's Lua 5.4. */
#define SHARED_LUA "liblua5.4.so.0"

#define HIDDEN __attribute__((visibility("hidden")))

extern HIDDEN void *host_lua_functions[HOST_LUA_COUNT];
void *host_lua_functions[HOST_LUA_COUNT];

/* A function of Lua's name for each, which jumps to that of the host with its arguments as they are. */
#if defined(__x86_64__)
#define JUMP(index) "jmp *host_lua_functions+8*" #index "(%rip)\n"
#elif defined(__aarch64__)
#define JUMP(index)                                            \
    "adrp x16, host_lua_functions+8*" #index "\n"              \
    "ldr x16, [x16, #:lo12:host_lua_functions+8*" #index "]\n" \
    "br x16\n"
#endif /* for another processor, write the jump to an address in memory here */
#define FUNCTION(name, index)                                                                \
    __asm__(".text\n.globl " #name "\n.hidden " #name "\n.type " #name ", %function\n" #name \
            ":\n" JUMP(index));
HOST_LUA_NAMES(FUNCTION)

#define NAME(name, index) #name,
static const char *const names[] = { HOST_LUA_NAMES(NAME) };

/* Whether the handle of dlopen has all functions, from one library or program. Lua 5.1 to 5.3 and LuaJIT
 * lack some of them. They are set then. */
static bool take(void *handle)
{
    void *home = NULL;
    for (size_t i = 0; i < HOST_LUA_COUNT; i++) {
        Dl_info info;
        void *function = dlsym(handle, names[i]);
        if (!function || !dladdr(function, &info) || (i > 0 && info.dli_fbase != home))
            return false;
        home = info.dli_fbase;
        host_lua_functions[i] = function;
    }
    return true;
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool is_found;

/* The shared Lua may have been loaded so that only a part of the program sees it. */
static void find(void)
{
    void *shared;
    is_found = take(RTLD_DEFAULT);
    shared = is_found ? NULL : dlopen(SHARED_LUA, RTLD_NOW | RTLD_NOLOAD);
    if (shared) /* and never closed */
        is_found = take(shared);
}

/* Returns nothing when the program has no Lua 5.4: L is no state of it then, and nothing can be done with
 * it. */
#define OPENER(name)                             \
    HIDDEN int host_##name(struct lua_State *L); \
    MODALUA_API int name(struct lua_State *L);   \
    MODALUA_API int name(struct lua_State *L)    \
    {                                            \
        pthread_once(&once, find);               \
        return is_found ? host_##name(L) : 0;    \
    }

OPENER(luaopen_modalua)
OPENER(luaopen_modalua_arguments)
OPENER(luaopen_modalua_doc)
OPENER(luaopen_modalua_json)
OPENER(luaopen_modalua_letters)
OPENER(luaopen_modalua_table)
OPENER(luaopen_modalua_task)
OPENER(luaopen_modalua_transfer)
