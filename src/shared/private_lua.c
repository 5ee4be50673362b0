/* shared/private_lua.c - the standard streams of the Lua inside the shared library (packaging/shared.cmake). Lua's
 * code there cannot use the variables stdin, stdout and stderr of another library; it uses these. */
#include <stdio.h>

#define PRIVATE __attribute__((visibility("hidden")))

extern PRIVATE FILE *private_lua_stdin, *private_lua_stdout, *private_lua_stderr;
FILE *private_lua_stdin, *private_lua_stdout, *private_lua_stderr;

/* The C library opens its streams before it loads any library. */
__attribute__((constructor)) static void private_lua_take_streams(void)
{
    private_lua_stdin = stdin;
    private_lua_stdout = stdout;
    private_lua_stderr = stderr;
}
