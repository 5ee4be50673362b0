#include "embed/long_calls.h"

#include <lauxlib.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>

#include "binding/interrupt.h"
#include "embed/library.h"
#include "embed/patterns.h"
#include "engine/stop.h"

/* ---- table.insert, remove, move, concat ----
 *
 * As in ltablib.c, but their loops can be stopped. A script chooses how many rounds they make: __len may
 * return any number. */

/* An argument that is no table must have these metamethods. [-0, +0, v] */
static void check_list(lua_State *L, int index, const char *const *methods)
{
    if (lua_type(L, index) == LUA_TTABLE)
        return;
    for (; *methods; methods++) {
        if (luaL_getmetafield(L, index, *methods) == LUA_TNIL)
            luaL_checktype(L, index, LUA_TTABLE);
        lua_pop(L, 1);
    }
}

static const char *const reads_length[] = { "__index", "__len", NULL };
static const char *const changes_length[] = { "__index", "__newindex", "__len", NULL };
static const char *const reads[] = { "__index", NULL };
static const char *const writes[] = { "__newindex", NULL };

static int l_insert(lua_State *L)
{
    enum { LIST = 1, PLACE, VALUE };
    lua_Integer place, end;
    size_t steps = 0;
    check_list(L, LIST, changes_length);
    end = (lua_Integer)((lua_Unsigned)luaL_len(L, LIST) + 1);
    if (lua_gettop(L) != PLACE && lua_gettop(L) != VALUE)
        return luaL_error(L, "wrong number of arguments to 'insert'");
    place = lua_gettop(L) == PLACE ? end : luaL_checkinteger(L, PLACE);
    luaL_argcheck(L, lua_gettop(L) == PLACE || (lua_Unsigned)place - 1 < (lua_Unsigned)end, PLACE,
                  "position out of bounds");
    for (lua_Integer i = end; i > place; i--) {
        interrupt_count(L, &steps, 1);
        lua_geti(L, LIST, i - 1);
        lua_seti(L, LIST, i);
    }
    lua_seti(L, LIST, place);
    return 0;
}

static int l_remove(lua_State *L)
{
    enum { LIST = 1, PLACE };
    lua_Integer size, place;
    size_t steps = 0;
    check_list(L, LIST, changes_length);
    size = luaL_len(L, LIST);
    place = luaL_optinteger(L, PLACE, size);
    luaL_argcheck(L, place == size || (lua_Unsigned)place - 1 <= (lua_Unsigned)size,
                  LUA_VERSION_RELEASE_NUM < 50405 ? LIST : PLACE, /* so says Lua */
                  "position out of bounds");
    lua_geti(L, LIST, place);
    for (; place < size; place++) {
        interrupt_count(L, &steps, 1);
        lua_geti(L, LIST, place + 1);
        lua_seti(L, LIST, place);
    }
    lua_pushnil(L);
    lua_seti(L, LIST, place);
    return 1;
}

/* Copies `count` elements, from the last one on when `backwards`. */
static void move_elements(lua_State *L, lua_Integer from, lua_Integer to, lua_Integer count,
                          int target, bool backwards)
{
    size_t steps = 0;
    for (lua_Integer i = 0; i < count; i++) {
        lua_Integer at = backwards ? count - 1 - i : i;
        interrupt_count(L, &steps, 1);
        lua_geti(L, 1, from + at);
        lua_seti(L, target, to + at);
    }
}

static int l_move(lua_State *L)
{
    enum { SOURCE = 1, FROM, LAST, TO, TARGET };
    lua_Integer from = luaL_checkinteger(L, FROM), last = luaL_checkinteger(L, LAST);
    lua_Integer to = luaL_checkinteger(L, TO), count;
    int target = lua_isnoneornil(L, TARGET) ? SOURCE : TARGET;
    check_list(L, SOURCE, reads);
    check_list(L, target, writes);
    if (last >= from) {
        luaL_argcheck(L, from > 0 || last < LUA_MAXINTEGER + from, LAST,
                      "too many elements to move");
        count = last - from + 1;
        luaL_argcheck(L, to <= LUA_MAXINTEGER - count + 1, TO, "destination wrap around");
        move_elements(L, from, to, count, target,
                      to <= last && to > from &&
                          (target == SOURCE || lua_compare(L, SOURCE, target, LUA_OPEQ)));
    }
    lua_pushvalue(L, target);
    return 1;
}

/* Adds the element to the buffer, which may have a value on the top. */
static void add_element(lua_State *L, luaL_Buffer *b, lua_Integer i)
{
    lua_geti(L, 1, i);
    if (!lua_isstring(L, -1))
        luaL_error(L, "invalid value (%s) at index %I in table for 'concat'", luaL_typename(L, -1),
                   (LUAI_UACINT)i);
    luaL_addvalue(b);
}

static int l_concat(lua_State *L)
{
    enum { LIST = 1, SEPARATOR, FROM, LAST };
    luaL_Buffer b;
    size_t size, steps = 0;
    lua_Integer i, last;
    const char *separator;
    check_list(L, LIST, reads_length);
    last = luaL_len(L, LIST);
    separator = luaL_optlstring(L, SEPARATOR, "", &size);
    i = luaL_optinteger(L, FROM, 1);
    last = luaL_optinteger(L, LAST, last);
    luaL_buffinit(L, &b);
    for (; i < last; i++) {
        interrupt_count(L, &steps, 1);
        add_element(L, &b, i);
        luaL_addlstring(&b, separator, size);
    }
    if (i == last)
        add_element(L, &b, i);
    luaL_pushresult(&b);
    return 1;
}

/* ---- table.sort ---- */

/* The comparator of l_sort. Upvalue 1: that of the script, a C function, or nil. */
static int l_compare(lua_State *L)
{
    interrupt_look(L);
    if (lua_isnil(L, lua_upvalueindex(1))) {
        lua_pushboolean(L, lua_compare(L, 1, 2, LUA_OPLT));
        return 1;
    }
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, 1);
    return 1;
}

/* Whether a comparison on the way of table.sort can be stopped: the hook is called in a Lua function. A
 * short list needs no stop. */
static bool is_quick_sort(lua_State *L)
{
    enum { SHORT = 1000 };
    bool plain = !lua_getmetatable(L, 1);
    lua_settop(L, 2);
    if (!lua_isnil(L, 2))
        return !lua_iscfunction(L, 2);
    return plain && lua_rawlen(L, 1) <= SHORT;
}

/* Upvalue: Lua's table.sort. */
static int l_sort(lua_State *L)
{
    lua_Integer count;
    lua_settop(L, 2);
    check_list(L, 1, changes_length);
    count = luaL_len(L, 1);
    luaL_argcheck(L, count < INT_MAX, 1, "array too big");
    if (count > 1 && !lua_isnil(L, 2))
        luaL_checktype(L, 2, LUA_TFUNCTION);
    if (!is_quick_sort(L))
        lua_pushcclosure(L, l_compare, 1);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, 2, 0);
    stop_look(stop_loop(L));
    return 0;
}

/* ---- string.rep ---- */

/* Fills the text with copies of its first `size` bytes. */
static void repeat(lua_State *L, char *text, size_t size, size_t total)
{
    enum { PIECE = 1 << 22 };
    const size_t most = size < PIECE ? PIECE / size * size : size;
    for (size_t done = size; done < total;) {
        size_t more = done < most ? done : most;
        if (more > total - done)
            more = total - done;
        memcpy(text + done, text, more);
        done += more;
        if (more == most)
            interrupt_look(L);
    }
}

static int l_rep(lua_State *L)
{
    size_t size, between, total;
    const char *text = luaL_checklstring(L, 1, &size), *separator;
    lua_Integer n = luaL_checkinteger(L, 2);
    luaL_Buffer b;
    char *out;
    separator = luaL_optlstring(L, 3, "", &between);
    if (n <= 0 || size + between == 0) { /* of nothing, it would go on without an end */
        lua_pushliteral(L, "");
        return 1;
    }
    if (size + between < size || size + between > (size_t)LUA_MAXINTEGER / (size_t)n)
        return luaL_error(L, "resulting string too large");
    total = (size + between) * (size_t)n - between;
    out = luaL_buffinitsize(L, &b, total);
    memcpy(out, text, size);
    if (n > 1) {
        memcpy(out + size, separator, between);
        repeat(L, out, size + between, total);
    }
    luaL_pushresultsize(&b, total);
    return 1;
}

/* ---- C functions that can take long without an allocation: a look at the clock after them ---- */

/* Upvalues: the C function that this one stands for; how many arguments or results make a call worth
 * a look at the clock. */
static int l_check_clock(lua_State *L)
{
    lua_Integer threshold = lua_tointeger(L, lua_upvalueindex(2));
    int arguments = lua_gettop(L);
    int results = lua_tocfunction(L, lua_upvalueindex(1))(L);
    if (arguments >= threshold || results >= threshold)
        stop_look(stop_loop(L));
    return results;
}

/* None of these has an upvalue. */
static void check_clock_after_calls(lua_State *L)
{
    enum { MANY = 100 };
    static const struct {
        const char *library, *name;
        int threshold;
    } rows[] = {
        { "_G", "collectgarbage", 0 }, { "_G", "load", 0 },      { "os", "execute", 0 },
        { "string", "byte", MANY },    { "string", "find", 0 },  { "string", "gsub", 0 },
        { "string", "match", 0 },      { "table", "concat", 0 }, { "table", "insert", 3 },
        { "table", "move", 0 },        { "table", "remove", 2 }, { "table", "unpack", MANY },
        { "utf8", "codepoint", MANY }, { "utf8", "len", 0 },     { "utf8", "offset", 0 }
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        library_wrap(L, rows[i].library, rows[i].name, l_check_clock, rows[i].threshold);
}

/* ---- registration ---- */

void long_calls_open(lua_State *L)
{
    static const luaL_Reg table[] = { { "insert", l_insert },
                                      { "remove", l_remove },
                                      { "move", l_move },
                                      { "concat", l_concat },
                                      { NULL, NULL } };
    static const luaL_Reg string[] = { { "rep", l_rep }, { NULL, NULL } };
    library_replace(L, "table", table);
    library_replace(L, "string", string);
    patterns_open(L);
    library_wrap(L, "table", "sort", l_sort, 0);
    if (stop_loop(L)->interruptible)
        check_clock_after_calls(L);
}
