#include "json/decode.h"

#include <errno.h>
#include <lauxlib.h>
#include <limits.h>
#include <math.h>
#include <string.h>
#include <sys/random.h>

#include "binding/error.h"
#include "json/cjson.h"
#include "json/mark.h"
#include "json/placeholder.h"
#include "json/scan.h"

/* Bytes that lua-cjson takes besides the value and a buffer as large as the text: a call frame, a protected
 * call. */
#define PARSER_OVERHEAD 1024

/* 2^53: doubles hold all integers up to here exactly. */
#define EXACT_MAX 9007199254740992.0

/* Its address is a place in the registry. */
static const char token_key;

/* Pushes the token that starts every placeholder in this state. It is random, so that no data can
 * look like a placeholder. [-0, +1, e] */
static const char *push_token(lua_State *L)
{
    unsigned char noise[JSON_TOKEN_SIZE / 2];
    char token[JSON_TOKEN_SIZE];
    ssize_t got;

    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &token_key) == LUA_TSTRING)
        return lua_tostring(L, -1);
    lua_pop(L, 1);
    do
        got = getrandom(noise, sizeof noise, 0);
    while (got < 0 && errno == EINTR);
    if (got != (ssize_t)sizeof noise)
        luaL_error(L, "the system gives no random numbers");
    for (size_t i = 0; i < sizeof token; i++)
        token[i] = "0123456789abcdef"[noise[i / 2] >> (i % 2 * 4) & 15];
    lua_pushlstring(L, token, sizeof token);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &token_key);
    return lua_tostring(L, -1);
}

static lua_Integer kilobytes(size_t size)
{
    return (lua_Integer)(size / 1024) + (size % 1024 != 0);
}

/* Whether `need` bytes fit under the memory limit. Collects garbage before it gives up. False: a
 * message is pushed. [-0, +(0|1), m] */
static bool check_memory(lua_State *L, const memory *m, size_t size, size_t need)
{
    if (m->limit == 0 || (m->used <= m->limit && need <= memory_left(m)))
        return true;
    lua_gc(L, LUA_GCCOLLECT);
    if (m->used <= m->limit && need <= memory_left(m))
        return true;
    lua_pushfstring(L,
                    "not enough memory to decode a JSON text of %I KB: that can take %I KB, %I KB "
                    "are left",
                    kilobytes(size), kilobytes(need), (lua_Integer)(memory_left(m) / 1024));
    return false;
}

/* Calls lua-cjson's decode function with the text on the top. False: a message is pushed instead of the
 * value. [-2, +1, v] */
static bool run_parser(lua_State *L, memory *m, size_t size)
{
    int status = json_cjson_decode(L, m);
    if (status == LUA_OK)
        return true;
    if (status != LUA_ERRMEM)
        error_raise(L);
    lua_pop(L, 1);
    lua_pushfstring(L, "not enough memory to decode a JSON text of %I KB", kilobytes(size));
    return false;
}

/* ---- the walk ----
 *
 * After lua-cjson, a walk over the value corrects it in place: integers become Lua integers, arrays
 * get the mark of json.array, placeholders become what they stand for. It ends as soon as all
 * arrays and numbers of the text have been met. */

typedef struct walk {
    lua_State *L;
    size_t left;       /* arrays and numbers that have not been met yet */
    const char *token; /* of the placeholders; NULL: the text has none */
} walk;

static void walk_table(walk *w);

/* Whether the value on the top is a placeholder: of an empty array, *digits is NULL then, or of a
 * wide integer. */
static bool is_placeholder(const walk *w, const char **digits)
{
    size_t size;
    const char *text =
        w->token && lua_type(w->L, -1) == LUA_TSTRING ? lua_tolstring(w->L, -1, &size) : NULL;
    if (!text || size < JSON_TOKEN_SIZE || memcmp(text, w->token, JSON_TOKEN_SIZE) != 0)
        return false;
    *digits = size > JSON_TOKEN_SIZE ? text + JSON_TOKEN_SIZE : NULL;
    return true;
}

/* The number on the top becomes an integer when it has the same value; minus zero stays a float.
 * Returns whether it became one. */
static bool walk_number(lua_State *L)
{
    lua_Number n = lua_tonumber(L, -1);
    if (!(n >= -EXACT_MAX && n <= EXACT_MAX) || (lua_Number)(lua_Integer)n != n ||
        (n == 0 && signbit(n)))
        return false;
    lua_pop(L, 1);
    lua_pushinteger(L, (lua_Integer)n);
    return true;
}

/* Corrects the value on the top. True: another value is on the top now, and has to be stored in the
 * table. */
static bool walk_value(walk *w)
{
    const char *digits;
    switch (lua_type(w->L, -1)) {
    case LUA_TTABLE: walk_table(w); return false;
    case LUA_TNUMBER: w->left--; return walk_number(w->L);
    default:
        if (!is_placeholder(w, &digits) || !digits || lua_stringtonumber(w->L, digits) == 0)
            return false;
        lua_remove(w->L, -2); /* the placeholder */
        w->left--;
        return true;
    }
}

/* Corrects the array below the top; its first element is on the top, and popped. */
static void walk_array(walk *w)
{
    lua_State *L = w->L;
    const char *digits;
    lua_Integer count;

    w->left--;
    if (is_placeholder(w, &digits) && !digits) {
        lua_pop(L, 1);
        lua_pushnil(L);
        lua_rawseti(L, -2, 1);
        json_mark_array(L);
        return;
    }
    lua_pop(L, 1);
    json_mark_array(L);
    count = (lua_Integer)lua_rawlen(L, -1);
    for (lua_Integer i = 1; i <= count && w->left > 0; i++) {
        lua_rawgeti(L, -1, i);
        if (walk_value(w))
            lua_rawseti(L, -2, i);
        else
            lua_pop(L, 1);
    }
}

static void walk_object(walk *w)
{
    lua_State *L = w->L;
    lua_pushnil(L);
    while (lua_next(L, -2)) { // object key value
        if (walk_value(w)) {
            lua_pushvalue(L, -2);
            lua_insert(L, -2);
            lua_rawset(L, -4);
        } else {
            lua_pop(L, 1);
        }
        if (w->left == 0) {
            lua_pop(L, 1);
            return;
        }
    }
}

/* Corrects the table on the top. Only arrays have [1]: the keys of objects are strings. */
static void walk_table(walk *w)
{
    if (lua_rawgeti(w->L, -1, 1) != LUA_TNIL) {
        walk_array(w);
    } else {
        lua_pop(w->L, 1);
        walk_object(w);
    }
}

/* Corrects the value on the top. When an object has a key twice, the walk meets less than the scan
 * has counted, and goes to the end. */
static void walk_all(lua_State *L, const json_scan_facts *facts, const char *token)
{
    walk w = { L, facts->arrays + facts->numbers, token };
    if (w.left > 0)
        walk_value(&w);
}

/* ---- decode ---- */

/* Pushes a copy of the text with placeholders in it. [-0, +1, m] */
static void push_copy(lua_State *L, const char *text, size_t size, const char *token, size_t room)
{
    char *copy = lua_newuserdatauv(L, room, 0);
    lua_pushlstring(L, copy, json_placeholder_copy(text, size, token, copy));
    lua_remove(L, -2);
}

/* Decodes a text that json_scan let pass. `source`: the absolute index where it is a Lua string already;
 * 0: there is none. False: a message is pushed. [-0, +1, v] */
static bool build(lua_State *L, memory *m, const char *text, size_t size,
                  const json_scan_facts *facts, int source)
{
    const char *token = NULL;
    size_t room = json_placeholder_room(facts, size);
    int top = lua_gettop(L);

    if (!check_memory(L, m, size,
                      facts->heap + PARSER_OVERHEAD + room +
                          (room > size ? 2 * room
                           : source    ? 0
                                       : size)))
        return false;
    /* lua-cjson does not have to grow the stack then */
    luaL_checkstack(L, (int)facts->depth * 3 + 2 * LUA_MINSTACK, "JSON");
    if (room > size)
        token = push_token(L);
    json_cjson_push(L, m);
    if (token)
        push_copy(L, text, size, token, room);
    else if (source)
        lua_pushvalue(L, source);
    else
        lua_pushlstring(L, text, size);
    /* the string table may have grown, which the scan does not count */
    if (!run_parser(L, m, size) || !check_memory(L, m, size, 0)) {
        lua_insert(L, top + 1); /* the message, under what else there is */
        lua_settop(L, top + 1);
        return false;
    }
    walk_all(L, facts, token);
    if (token)
        lua_remove(L, top + 1);
    return true;
}

static json_outcome decode(lua_State *L, memory *m, const char *text, size_t size, int source)
{
    char message[JSON_MESSAGE_SIZE];
    json_scan_facts facts;
    if (size > JSON_TEXT_MAX) {
        lua_pushfstring(L, "the text has %I KB, more than 1 GB", kilobytes(size));
        return JSON_FAULTY;
    }
    if (!json_scan(text, size, &facts, NULL, message)) {
        lua_pushstring(L, message);
        return JSON_FAULTY;
    }
    return build(L, m, text, size, &facts, source) ? JSON_DECODED : JSON_NO_ROOM;
}

/* Throws when there was not enough memory: the message is on the top. */
static bool is_decoded(lua_State *L, json_outcome outcome)
{
    if (outcome == JSON_NO_ROOM)
        error_throw(L, "limit", "memory", "%s", lua_tostring(L, -1));
    return outcome == JSON_DECODED;
}

bool json_decode(lua_State *L, memory *m, const char *text, size_t size)
{
    return is_decoded(L, decode(L, m, text, size, 0));
}

bool json_decode_at(lua_State *L, memory *m, int index)
{
    size_t size;
    const char *text = lua_tolstring(L, index, &size);
    return is_decoded(L, decode(L, m, text, size, lua_absindex(L, index)));
}

/* ---- long lists ---- */

#define LIST_MIN ((size_t)1 << 20) /* shorter texts are decoded as a whole */
#define PART_MIN ((size_t)64 << 10)

/* Decodes the elements of the list between the offsets `from` and `to`, where a bracket or a comma is,
 * and puts them into the table on the top, from `place` on. False: a message is pushed.
 * [-0, +(0|1), m] */
static bool decode_part(lua_State *L, memory *m, char *text, size_t from, size_t to,
                        const json_scan_facts *facts, lua_Integer place)
{
    int list = lua_gettop(L);
    text[from] = '[';
    text[to] = ']';
    if (!build(L, m, text + from, to - from + 1, facts, 0))
        return false;
    for (lua_Integer i = 1, n = (lua_Integer)lua_rawlen(L, list + 1); i <= n; i++) {
        lua_rawgeti(L, list + 1, i);
        lua_rawseti(L, list, place + i - 1);
    }
    lua_settop(L, list);
    return true;
}

/* The offset of the bracket that closes the list. */
static size_t list_end(const json_body *b)
{
    size_t end = *b->size - 1;
    while ((*b->text)[end] != ']')
        end--;
    return end;
}

/* The text ends at `size` now. */
static void shorten(memory *m, const json_body *b, size_t size)
{
    *b->text = memory_realloc(m, *b->text, *b->room, size + 1);
    *b->room = size + 1;
    *b->size = size;
    (*b->text)[size] = '\0';
}

/* The memory of the text is given back from its end on, as the values take theirs. */
static json_outcome decode_list(lua_State *L, memory *m, const json_body *b,
                                const json_scan_cuts *cuts, const json_scan_facts *whole)
{
    size_t end = list_end(b);
    lua_createtable(L, cuts->elements < INT_MAX ? (int)cuts->elements : 0, 0);
    json_mark_array(L);
    for (size_t i = cuts->count + 1; i-- > 0;) {
        json_scan_facts facts = json_scan_part(cuts, i, whole);
        size_t from = i > 0 ? cuts->cuts[i - 1].at : strspn(*b->text, " \t\r\n");
        size_t before = i > 0 ? cuts->cuts[i - 1].elements : 0;
        if (!decode_part(L, m, *b->text, from, end, &facts, (lua_Integer)before + 1)) {
            lua_remove(L, -2);
            return JSON_NO_ROOM;
        }
        shorten(m, b, from);
        end = from;
    }
    return JSON_DECODED;
}

json_outcome json_decode_body(lua_State *L, memory *m, const json_body *b)
{
    char message[JSON_MESSAGE_SIZE];
    json_scan_facts facts;
    json_scan_cuts cuts;

    cuts.part = *b->size / JSON_CUTS_MAX > PART_MIN ? *b->size / JSON_CUTS_MAX : PART_MIN;
    if (*b->size < LIST_MIN)
        return decode(L, m, *b->text, *b->size, 0);
    if (!json_scan(*b->text, *b->size, &facts, &cuts, message)) {
        lua_pushstring(L, message);
        return JSON_FAULTY;
    }
    if (cuts.count == 0)
        return decode(L, m, *b->text, *b->size, 0);
    if (!check_memory(L, m, *b->size, facts.heap > *b->room ? facts.heap - *b->room : 0))
        return JSON_NO_ROOM;
    return decode_list(L, m, b, &cuts, &facts);
}
