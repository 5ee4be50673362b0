/* second_lua.c - a host that has a Lua of another version, linked before modalua or behind it. Both work,
 * also inside one another. The argument is the URL of the fault server. */
#define _POSIX_C_SOURCE 200809L

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>

#include "runs.h"

/* Runs a script in the host's own Lua, and checks that it is the one of the header. */
static void use_own(lua_State *L)
{
    CHECK(luaL_dostring(L, "local t = {}\n"
                           "for i = 1, 100 do t[i] = string.format('%03d', i) end\n"
                           "table.sort(t, function(a, b) return a > b end)\n"
                           "assert(table.concat(t, ' ', 1, 2) == '100 099')\n"
                           "assert(not pcall(error, {}))\n"
                           "return _VERSION") == 0);
    CHECK(strcmp(lua_tostring(L, -1), LUA_VERSION) == 0);
    lua_pop(L, 1);
}

static void call_own(void *user, const char *arguments, modalua_reply *reply)
{
    use_own(user);
    CHECK(modalua_reply_json(reply, arguments) == MODALUA_OK);
}

static const char script[] =
    "local modalua, json, task = require 'modalua', require 'modalua.json', require "
    "'modalua.task'\n"
    "assert(_VERSION == 'Lua 5.4' and 7 // 2 == 3 and math.type(3) == 'integer')\n"
    "local text = '{\"a\":[1,2.5,{\"b\":null}],\"c\":9007199254740993}'\n"
    "assert(json.encode(json.decode(text)) == text)\n"
    "assert(not json.decode '[1,')\n"
    "local client = modalua.connect('%s')\n"
    "assert(#client:get('/answers', { n = 3 }) == 3)\n"
    "assert(select(2, client:get '/status?code=500').status == 500)\n"
    "assert(json.encode(own(1, 'x')) == '[1,\"x\"]')\n"
    "local ok, err = pcall(require, 'lfs')\n"
    "assert(not ok and err:find('modules in C cannot be loaded', 1, true), err)\n"
    "assert(select(3, package.loadlib('/nowhere.so', '*')) == 'absent')\n"
    "local co = coroutine.wrap(function(...) local x <close> = nil coroutine.yield(...) error "
    "'end' end)\n"
    "assert(co(7) == 7 and select(2, pcall(co)):find 'end')\n"
    "assert(not pcall(string.rep, 'x', 1 << 30))\n"
    "local seen = 0\n"
    "for i = 1, 3 do task.spawn(function() task.sleep(0) seen = seen + i end) end\n"
    "task.sleep(0.01)\n"
    "assert(seen == 6 and debug.traceback 'x':find 'traceback')\n";

int main(int argc, char **argv)
{
    char code[4096];
    modalua_config config = watched();
    modalua_runtime *rt;
    lua_State *L = luaL_newstate();
    CHECK(argc == 2 && L);
    snprintf(code, sizeof code, script, argv[1]);
    luaL_openlibs(L);
    use_own(L);
    config.memory_limit = 100 * 1000 * 1000;
    rt = make(&config);
    CHECK(modalua_register(rt, "own", call_own, L) == MODALUA_OK);
    pass(rt, code);
    use_own(L);
    CHECK(run(rt, "error 'x'") == MODALUA_E_SCRIPT);
    modalua_destroy(rt);
    use_own(L);
    lua_close(L);
    return 0;
}
