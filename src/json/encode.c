#include "json/encode.h"

#include <lauxlib.h>
#include <limits.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "binding/error.h"
#include "binding/interrupt.h"
#include "json/mark.h"
#include "json/scan.h"

#define FIRST_ROOM   1024 /* bytes on the C stack; longer texts move into a userdata */
#define PATH_SIZE    200  /* of the path in an error message */
#define PATH_KEY_MAX 40   /* characters of one key in that path */
#define VALUE_STEPS  1    /* what a value costs, for interrupt_count */
#define TABLE_STEPS  64   /* also one without values: it may have many slots, which are all empty */

/* A value inside a table: the table that is being encoded, and the key or index. */
typedef struct place {
    const struct place *up; /* the place of the table itself; NULL: it is the outermost one */
    const void *table;
    const char *key; /* NULL: the table is an array, and `index` is set */
    size_t key_size;
    lua_Integer index;
} place;

typedef struct encoder {
    lua_State *L;
    const char *indent;
    size_t indent_size; /* 0 = compact */
    size_t depth;
    int box; /* the stack index of the userdata that holds the text; nil while it is `first` */
    char *text;
    size_t size, room, most; /* most: how long the text may become */
    size_t steps;            /* for interrupt_count */
    char first[FIRST_ROOM];
} encoder;

typedef struct object_key {
    const char *text;
    size_t size;
    int slot; /* stack index of the key */
} object_key;

/* Throws the message on the top as luaL_error does, but when a part of the Lua half has called, the
 * place is the script's line. [-1, +0, v] */
static _Noreturn void throw_message(lua_State *L)
{
    lua_Debug ar;
    if (lua_getstack(L, 1, &ar) && lua_getinfo(L, "l", &ar) && ar.currentline > 0)
        error_usage(L, "%s", lua_tostring(L, -1));
    error_make_shown(L, SHOWN_LINE);
    error_raise(L);
}

/* ---- the text ---- */

/* Makes room for `more` bytes, and returns where they go. */
static char *prepare(encoder *e, size_t more)
{
    if (more > e->room - e->size) {
        size_t room = e->room * 2;
        char *text;
        if (more > e->most - e->size) { /* a few tables can make an enormous text */
            lua_pushfstring(e->L, "the JSON text becomes longer than %s",
                            e->most == JSON_TEXT_MAX ? "1 GB" : "1 MB");
            throw_message(e->L);
        }
        interrupt_look(e->L);
        if (room > e->most)
            room = e->most;
        if (room < e->size + more)
            room = e->size + more;
        text = lua_newuserdatauv(e->L, room, 0);
        memcpy(text, e->text, e->size);
        lua_replace(e->L, e->box);
        e->text = text;
        e->room = room;
    }
    return e->text + e->size;
}

static void append(encoder *e, const char *text, size_t size)
{
    memcpy(prepare(e, size), text, size);
    e->size += size;
}

static void append_char(encoder *e, char c)
{
    *prepare(e, 1) = c;
    e->size++;
}

static void append_newline(encoder *e)
{
    if (e->indent_size == 0)
        return;
    append_char(e, '\n');
    for (size_t i = 0; i < e->depth; i++)
        append(e, e->indent, e->indent_size);
}

/* ---- errors ---- */

static size_t path_put(char *path, size_t size, const char *text, size_t count)
{
    for (size_t i = 0; i < count && size < PATH_SIZE - 1; i++)
        path[size++] = text[i] >= ' ' && text[i] < 0x7F ? text[i] : '?';
    path[size] = '\0';
    return size;
}

/* Writes the path of a place, such as `.Query.0010,0010` or `.Resources[2]`, truncated to
 * PATH_SIZE. Returns its size. */
static size_t path_write(const place *at, char *path)
{
    size_t size;
    char index[32];
    if (!at) {
        path[0] = '\0';
        return 0;
    }
    size = path_write(at->up, path);
    if (at->key) {
        size = path_put(path, size, ".", 1);
        return path_put(path, size, at->key,
                        at->key_size < PATH_KEY_MAX ? at->key_size : PATH_KEY_MAX);
    }
    return path_put(
        path, size, index,
        (size_t)snprintf(index, sizeof index, "[" LUA_INTEGER_FMT "]", (LUAI_UACINT)at->index));
}

/* Pushes the message. [-0, +1, m] */
static void push_message(encoder *e, const place *at, const char *what)
{
    char path[PATH_SIZE];
    path_write(at, path);
    lua_pushfstring(e->L, "cannot encode %s%s%s", what, at ? " at " : "", path);
}

/* For values that no JSON text can have, such as functions: throws. */
static _Noreturn void throw_misuse(encoder *e, const place *at, const char *what)
{
    push_message(e, at, what);
    throw_message(e->L);
}

/* For data that cannot be encoded, such as a string that is not UTF-8: pushes the message, and
 * returns false. */
static bool encode_refuse(encoder *e, const place *at, const char *what)
{
    push_message(e, at, what);
    return false;
}

/* ---- scalars ---- */

/* The shortest form that reads back as the same number, with a point whatever the locale is. */
static bool encode_float(encoder *e, lua_Number n, const place *at)
{
    char text[64], *out = prepare(e, sizeof text), *start = out;
    int precision = 15;
    if (isnan(n))
        return encode_refuse(e, at, "NaN");
    if (isinf(n))
        return encode_refuse(e, at, "an infinite number");
    do
        snprintf(text, sizeof text, "%.*g", precision, n);
    while (strtod(text, NULL) != n && precision++ < 17);
    for (const char *p = text; *p; p++) {
        if (strchr("0123456789+-e", *p))
            *out++ = *p;
        else if (out > start && out[-1] != '.') /* the locale's point; it may have several bytes */
            *out++ = '.';
    }
    e->size += (size_t)(out - start);
    return true;
}

static void encode_integer(encoder *e, lua_Integer i)
{
    char text[32];
    int size = snprintf(text, sizeof text, LUA_INTEGER_FMT, (LUAI_UACINT)i);
    append(e, text, (size_t)size);
}

static void encode_escape(encoder *e, unsigned char c)
{
    static const char escapes[] = "\"\"\\\\\bb\ff\nn\rr\tt"; /* a character, its escape, ... */
    char text[8];
    for (const char *p = escapes; *p; p += 2) {
        if (*p == (char)c) {
            text[0] = '\\';
            text[1] = p[1];
            append(e, text, 2);
            return;
        }
    }
    snprintf(text, sizeof text, "\\u%04x", c);
    append(e, text, 6);
}

static bool encode_string(encoder *e, const char *text, size_t size, const place *at)
{
    const char *end = text + size, *next;
    interrupt_count(e->L, &e->steps, size / 64);
    append_char(e, '"');
    for (; text < end; text = next) {
        next = json_scan_plain_end(text, end);
        append(e, text, (size_t)(next - text));
        if (next == end)
            break;
        text = next;
        size = utf8_size(text, end);
        if (size == 0)
            return encode_refuse(e, at, "a string that is not UTF-8");
        next = text + size;
        if (size == 1)
            encode_escape(e, (unsigned char)*text);
        else
            append(e, text, size);
    }
    append_char(e, '"');
    return true;
}

/* ---- tables ---- */

static bool encode_value(encoder *e, const place *at);

static int compare_keys(const void *left, const void *right)
{
    const object_key *a = left, *b = right;
    int order = memcmp(a->text, b->text, a->size < b->size ? a->size : b->size);
    return order != 0 ? order : (a->size > b->size) - (a->size < b->size);
}

/* Pushes the `count` keys of the table, and a userdata with them in order, which it returns.
 * Between the count and the last push no garbage is collected: no finalizer can change the table.
 */
static const object_key *push_sorted_keys(encoder *e, int table, size_t count)
{
    lua_State *L = e->L;
    int slot = lua_gettop(L);
    object_key *keys;

    luaL_checkstack(L, count < INT_MAX - LUA_MINSTACK ? (int)count + LUA_MINSTACK : INT_MAX,
                    "too many keys in an object");
    lua_pushnil(L);
    while (lua_next(L, table)) {
        lua_pop(L, 1);
        lua_pushvalue(L, -1); // ... key key
    }
    keys = lua_newuserdatauv(L, count * sizeof *keys, 0);
    for (size_t i = 0; i < count; i++) {
        keys[i].slot = ++slot;
        keys[i].text = lua_tolstring(L, slot, &keys[i].size);
    }
    qsort(keys, count, sizeof *keys, compare_keys);
    return keys;
}

static bool encode_object(encoder *e, int table, size_t count, place *here)
{
    lua_State *L = e->L;
    const object_key *keys = push_sorted_keys(e, table, count);

    for (size_t i = 0; i < count; i++) {
        here->key = keys[i].text;
        here->key_size = keys[i].size;
        if (i > 0)
            append_char(e, ',');
        append_newline(e);
        if (!encode_string(e, here->key, here->key_size, here))
            return false;
        append(e, ": ", e->indent_size > 0 ? 2 : 1);
        lua_pushvalue(L, keys[i].slot);
        lua_rawget(L, table);
        if (!encode_value(e, here))
            return false;
        lua_pop(L, 1);
    }
    lua_settop(L, table);
    return true;
}

static bool encode_array(encoder *e, int table, size_t count, place *here)
{
    for (size_t i = 1; i <= count; i++) {
        here->index = (lua_Integer)i;
        if (i > 1)
            append_char(e, ',');
        append_newline(e);
        lua_rawgeti(e->L, table, here->index);
        if (!encode_value(e, here))
            return false;
        lua_pop(e->L, 1);
    }
    return true;
}

/* Throws when an index between 1 and the largest one is missing. */
static void check_holes(encoder *e, int table, size_t count, lua_Integer largest, place *here)
{
    if ((lua_Unsigned)largest == count)
        return;
    here->index = 1;
    while (lua_rawgeti(e->L, table, here->index) != LUA_TNIL) {
        lua_pop(e->L, 1);
        here->index++;
    }
    throw_misuse(e, here, "a hole in an array");
}

/* Throws: the key on the top is neither a string nor an index. */
static _Noreturn void throw_misuse_key(encoder *e, const place *at)
{
    lua_State *L = e->L;
    if (lua_type(L, -1) == LUA_TNUMBER) {
        throw_misuse(e, at, lua_pushfstring(L, "a table with the key %s", lua_tostring(L, -1)));
    }
    throw_misuse(e, at, lua_pushfstring(L, "a table with a %s as a key", luaL_typename(L, -1)));
}

/* Whether the table is an array; else it is an object. Its keys and its mark decide. Throws when it
 * can be neither. Sets *count to the number of elements. */
static bool is_array(encoder *e, int table, place *here, size_t *count)
{
    lua_State *L = e->L;
    size_t strings = 0, indices = 0;
    lua_Integer largest = 0;
    json_mark mark = json_mark_of(L, table);

    lua_pushnil(L);
    while (lua_next(L, table)) {
        lua_pop(L, 1);
        if (lua_type(L, -1) == LUA_TSTRING) {
            strings++;
        } else if (lua_isinteger(L, -1) && lua_tointeger(L, -1) > 0) {
            indices++;
            if (lua_tointeger(L, -1) > largest)
                largest = lua_tointeger(L, -1);
        } else {
            throw_misuse_key(e, here->up);
        }
    }
    if (mark == JSON_MARK_ARRAY && strings > 0)
        throw_misuse(e, here->up, "a json.array with string keys");
    if (mark == JSON_MARK_OBJECT && indices > 0)
        throw_misuse(e, here->up, "a json.object with numbers as keys");
    if (strings > 0 && indices > 0)
        throw_misuse(e, here->up, "a table with both numbers and strings as keys");
    check_holes(e, table, indices, largest, here);
    *count = strings + indices;
    return mark == JSON_MARK_ARRAY || indices > 0;
}

static bool encode_table(encoder *e, const place *at)
{
    int table = lua_gettop(e->L);
    place here = { at, lua_topointer(e->L, table), NULL, 0, 0 };
    bool array;
    size_t count;

    for (const place *p = at; p; p = p->up)
        if (p->table == here.table)
            throw_misuse(e, at, "a table that contains itself");
    if (e->depth == JSON_DEPTH_MAX)
        throw_misuse(e, at, "more than 200 levels of tables");
    luaL_checkstack(e->L, LUA_MINSTACK, "JSON");
    interrupt_count(e->L, &e->steps, TABLE_STEPS);
    array = is_array(e, table, &here, &count);
    append_char(e, array ? '[' : '{');
    if (count > 0) {
        e->depth++;
        if (!(array ? encode_array(e, table, count, &here) : encode_object(e, table, count, &here)))
            return false;
        e->depth--;
        append_newline(e);
    }
    append_char(e, array ? ']' : '}');
    return true;
}

/* Encodes the value on the top and leaves it there. False: a message is on the top. */
static bool encode_value(encoder *e, const place *at)
{
    lua_State *L = e->L;
    const char *text;
    size_t size;

    interrupt_count(L, &e->steps, VALUE_STEPS);
    switch (lua_type(L, -1)) {
    case LUA_TNIL: append(e, "null", 4); return true;
    case LUA_TBOOLEAN:
        text = lua_toboolean(L, -1) ? "true" : "false";
        append(e, text, strlen(text));
        return true;
    case LUA_TNUMBER:
        if (!lua_isinteger(L, -1))
            return encode_float(e, lua_tonumber(L, -1), at);
        encode_integer(e, lua_tointeger(L, -1));
        return true;
    case LUA_TSTRING: text = lua_tolstring(L, -1, &size); return encode_string(e, text, size, at);
    case LUA_TTABLE: return encode_table(e, at);
    case LUA_TLIGHTUSERDATA:
        if (!lua_touserdata(L, -1)) {
            append(e, "null", 4);
            return true;
        }
        break;
    }
    throw_misuse(e, at, lua_pushfstring(L, "a %s", luaL_typename(L, -1)));
}

static bool encode_within(lua_State *L, int index, const char *indent, size_t most)
{
    encoder e;
    bool good;

    luaL_checkstack(L, LUA_MINSTACK, "JSON");
    index = lua_absindex(L, index);
    e.L = L;
    e.indent = indent;
    e.indent_size = indent ? strlen(indent) : 0;
    e.depth = 0;
    e.text = e.first;
    e.size = 0;
    e.room = sizeof e.first;
    e.most = most;
    e.steps = 0;
    lua_pushnil(L);
    e.box = lua_gettop(L);
    lua_pushvalue(L, index); // box value
    good = encode_value(&e, NULL);
    if (good)
        lua_pushlstring(L, e.text, e.size);
    lua_replace(L, e.box); /* the text or the message */
    lua_settop(L, e.box);
    return good;
}

bool json_encode(lua_State *L, int index, const char *indent)
{
    return encode_within(L, index, indent, JSON_TEXT_MAX);
}

bool json_encode_short(lua_State *L, int index)
{
    return encode_within(L, index, NULL, JSON_SHORT_MAX);
}
