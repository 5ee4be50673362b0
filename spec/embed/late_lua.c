/* late_lua.c - a host that is linked with neither modalua nor Lua, and loads both with dlopen, for the whole
 * program: late_lua LIBRARY… One of the libraries is modalua, the other ones are Luas of other versions.
 * Then it runs a script in modalua, and in a state of each Lua. */
#define _GNU_SOURCE

#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "modalua.h"

static void *function_of(void *library, const char *name)
{
    void *function = dlsym(library, name);
    if (!function)
        fprintf(stderr, "%s\n", dlerror());
    CHECK(function);
    return function;
}

/* Declares the variable got_NAME, the function NAME of the library. */
#define FUNCTION(library, type, name, ...) \
    type (*got_##name)(__VA_ARGS__);       \
    *(void **)&got_##name = function_of((library), #name)

static void use_modalua(void *library)
{
    static const char code[] =
        "local json, text = require 'modalua.json', '{\"a\":[1,2.5,{\"b\":null}]}'\n"
        "assert(_VERSION == 'Lua 5.4' and json.encode(json.decode(text)) == text)\n"
        "assert(not pcall(error, {}) and require 'modalua'.connect 'http://localhost')\n";
    modalua_runtime *rt;
    FUNCTION(library, int, modalua_create, modalua_runtime **, const modalua_config *);
    FUNCTION(library, int, modalua_run_string, modalua_runtime *, const char *, const char *,
             size_t);
    FUNCTION(library, const char *, modalua_last_error, const modalua_runtime *);
    FUNCTION(library, void, modalua_destroy, modalua_runtime *);
    CHECK(got_modalua_create(&rt, NULL) == MODALUA_OK);
    if (got_modalua_run_string(rt, "=test", code, strlen(code)) != MODALUA_OK) {
        fprintf(stderr, "%s\n", got_modalua_last_error(rt));
        CHECK(false);
    }
    got_modalua_destroy(rt);
}

/* lua_pcall is a macro from Lua 5.2 on. */
static void use_lua(void *library)
{
    FUNCTION(library, void *, luaL_newstate, void);
    FUNCTION(library, void, luaL_openlibs, void *);
    FUNCTION(library, int, luaL_loadstring, void *, const char *);
    FUNCTION(library, void, lua_close, void *);
    void *L = got_luaL_newstate();
    int status;
    CHECK(L);
    got_luaL_openlibs(L);
    CHECK(got_luaL_loadstring(
              L, "assert(_VERSION ~= 'Lua 5.4' and not pcall(error, {}))\n"
                 "assert(string.format('%s', table.concat({1, 2}, ' ')) == '1 2')") == 0);
    if (dlsym(library, "lua_pcallk")) {
        FUNCTION(library, int, lua_pcallk, void *, int, int, int, ptrdiff_t, void *);
        status = got_lua_pcallk(L, 0, 0, 0, 0, NULL);
    } else {
        FUNCTION(library, int, lua_pcall, void *, int, int, int);
        status = got_lua_pcall(L, 0, 0, 0);
    }
    CHECK(status == 0);
    got_lua_close(L);
}

static void use(void *library, const char *path)
{
    if (strstr(path, "modalua"))
        use_modalua(library);
    else
        use_lua(library);
}

int main(int argc, char **argv)
{
    void *libraries[8];
    CHECK(argc >= 3 && argc <= 8);
    for (int i = 1; i < argc; i++) {
        libraries[i] = dlopen(argv[i], RTLD_NOW | RTLD_GLOBAL);
        if (!libraries[i])
            fprintf(stderr, "%s\n", dlerror());
        CHECK(libraries[i]);
        for (int k = 1; k <= i; k++)
            use(libraries[k], argv[k]);
    }
    return 0;
}
