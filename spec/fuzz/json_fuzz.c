/* json_fuzz.c - fuzzes the JSON module as scripts use it. Two bytes of the input are the memory that is
 * left to the runtime; the rest is a text. Decoding ends with a value, or with an error of kind "decode"
 * or "limit", never with the end of the process. What has been decoded can be encoded, on one line and
 * on several, and decodes to the same value again. */
#include <lauxlib.h>

#include "embed/runtime.h"
#include "fuzz.h"

/* Returns whether the text was decoded. */
static const char script[] =
    "local json, modalua = require 'modalua.json', require 'modalua'\n"
    "local function same(a, b)\n"
    "  if type(a) ~= 'table' or type(b) ~= 'table' then\n"
    "    return a == b\n" /* a float above 2^53 may come back as the integer of the same value */
    "  end\n"
    "  for k, v in next, a do if not same(v, b[k]) then return false end end\n"
    "  for k in next, b do if a[k] == nil then return false end end\n"
    "  return getmetatable(a) == getmetatable(b)\n"
    "end\n"
    "function round(text)\n"
    "  local value, err = json.decode(text)\n"
    "  if value == nil then\n"
    "    assert(modalua.is_error(err) and err.kind == 'decode', err)\n"
    "    assert(utf8.len(err.message) and not err.message:find '%c', err.message)\n"
    "    return false\n"
    "  end\n"
    "  local short = assert(json.encode(value))\n"
    "  local long = assert(json.encode(value, { indent = 1 }))\n"
    "  assert(same(value, json.decode(short)), short)\n"
    "  assert(same(value, json.decode(long)), long)\n"
    "  assert(json.encode(json.decode(long)) == short, long)\n"
    "  return true\n"
    "end\n"
    "function little(text)\n"
    "  local ok, value, err = pcall(json.decode, text)\n"
    "  err = ok and err or not ok and value\n"
    "  if type(err) == 'string' then\n" /* Lua calls a stack that cannot grow an overflow */
    "    assert(err == 'not enough memory' or err == 'stack overflow (JSON)', err)\n"
    "  else\n"
    "    assert(not err or err.kind == 'limit' or err.kind == 'decode', err)\n"
    "  end\n"
    "end\n";

/* Calls a global function of the script with the text, while the runtime has only so much memory left. */
static void call(modalua_runtime *rt, const char *function, const char *text, size_t size,
                 size_t left)
{
    int top = lua_gettop(rt->L), status;
    lua_getglobal(rt->L, function);
    lua_pushlstring(rt->L, text, size);
    rt->memory.limit = left < SIZE_MAX ? rt->memory.used + left : 0;
    status = lua_pcall(rt->L, 1, 0, 0);
    rt->memory.limit = 0;
    if (status != LUA_OK && (left == SIZE_MAX || status != LUA_ERRMEM)) {
        fprintf(stderr, "%s: %s\n", function, luaL_tolstring(rt->L, -1, NULL));
        abort();
    }
    lua_settop(rt->L, top);
}

static modalua_runtime *make_runtime(void)
{
    modalua_runtime *rt;
    REQUIRE(modalua_create(&rt, NULL) == MODALUA_OK);
    REQUIRE(luaL_loadstring(rt->L, script) == LUA_OK);
    REQUIRE(lua_pcall(rt->L, 0, 0, 0) == LUA_OK);
    return rt;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static modalua_runtime *rt;
    if (!rt)
        rt = make_runtime();
    if (size < 2)
        return 0;
    call(rt, "round", (const char *)data + 2, size - 2, SIZE_MAX);
    lua_gc(rt->L, LUA_GCCOLLECT);
    call(rt, "little", (const char *)data + 2, size - 2, (size_t)(data[0] << 8 | data[1]));
    return 0;
}
