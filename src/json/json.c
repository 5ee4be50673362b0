#include "json/json.h"

#include <errno.h>
#include <lauxlib.h>
#include <locale.h>
#include <lua-cjson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "binding/doc.h"
#include "binding/error.h"
#include "json/encode.h"
#include "json/mark.h"
#include "json/scan.h"

/* What lua-cjson takes besides the value itself: a call frame, a protected call. */
#define PARSER_OVERHEAD 1024

/* Integers up to here are exact as doubles. */
#define EXACT_MAX 9007199254740992.0

/* Only their addresses count: places in the registry. */
static const char registry_keys[2];
enum { KEY_PARSER, KEY_TOKEN };

/* ---- lua-cjson ---- */

/* lua_pcall under the C locale: lua-cjson reads numbers with the decimal point of the thread's
 * locale. [-(arguments + 1), +(results|1), -] */
static int call_in_c_locale(lua_State *L, int arguments, int results)
{
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0), before;
    int status;
    if (c == (locale_t)0) {
        lua_pushliteral(
            L, "not enough memory"); /* Lua always has this string: no allocation, no throw */
        return LUA_ERRMEM;
    }
    before = uselocale(c);
    status = lua_pcall(L, arguments, results, 0);
    uselocale(before);
    freelocale(c);
    return status;
}

/* Calls a setting of the module on the top with the value above it, which it takes. */
static void configure(lua_State *L, const char *setting)
{
    lua_getfield(L, -2, setting);
    lua_insert(L, -2);
    lua_call(L, 1, 0);
}

/* An instance of lua-cjson of our own, so that nobody's settings reach it; what stays is its decode
 * function. */
static int open_parser(lua_State *L)
{
    luaopen_cjson(L);
    lua_pushboolean(L, 0);
    configure(L, "encode_keep_buffer");
    lua_pushboolean(L, 0);
    configure(L, "decode_invalid_numbers");
    lua_pushinteger(L, JSCAN_DEPTH_MAX);
    configure(L, "decode_max_depth");
    lua_getfield(L, -1, "decode");
    return 1;
}

/* [-0, +1, e] */
static void push_parser(lua_State *L)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &registry_keys[KEY_PARSER]) == LUA_TFUNCTION)
        return;
    lua_pop(L, 1);
    lua_pushcfunction(L, open_parser);
    if (call_in_c_locale(L, 0, 1) != LUA_OK)
        error_raise(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &registry_keys[KEY_PARSER]);
}

/* Pushes what begins every mark in this state: random, so that no data can look like one. [-0, +1,
 * e] */
static const char *push_token(lua_State *L)
{
    unsigned char noise[JSCAN_TOKEN_SIZE / 2];
    char token[JSCAN_TOKEN_SIZE];
    ssize_t got;

    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &registry_keys[KEY_TOKEN]) == LUA_TSTRING)
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
    lua_rawsetp(L, LUA_REGISTRYINDEX, &registry_keys[KEY_TOKEN]);
    return lua_tostring(L, -1);
}

static lua_Integer kilobytes(size_t size)
{
    return (lua_Integer)(size / 1024) + (size % 1024 != 0);
}

/* lua-cjson ends the process when malloc refuses its scratch buffer: ask before it does. */
static bool has_scratch(size_t size)
{
    void *volatile block =
        malloc(size + PARSER_OVERHEAD); /* volatile, or the compiler drops the question */
    bool granted = block != NULL;
    free(block);
    return granted;
}

/* Throws unless `need` bytes fit under the limit; garbage does not count. */
static void check_memory(lua_State *L, const memory *m, size_t size, size_t need)
{
    if (m->limit == 0 || (m->used <= m->limit && need <= memory_left(m)))
        return;
    lua_gc(L, LUA_GCCOLLECT);
    if (m->used > m->limit || need > memory_left(m))
        error_throw(L, "limit", "memory",
                    "no memory for a JSON text of %I KB: it can take %I KB, %I KB are left",
                    kilobytes(size), kilobytes(need), (lua_Integer)(memory_left(m) / 1024));
}

/* Calls lua-cjson's decode, on the stack with its text above it, where no memory error can strike:
 * it would lose its scratch buffer. */
static void run_parser(lua_State *L, memory *m, const json_scan_facts *facts, size_t size)
{
    int status;
    if (!has_scratch(size) || !memory_shelter(m, facts->heap + facts->churn + PARSER_OVERHEAD))
        error_throw(L, "limit", "memory", "the system has no memory to decode a JSON text of %I KB",
                    kilobytes(size));
    status = call_in_c_locale(L, 1, 1);
    memory_unshelter(m);
    if (status != LUA_OK)
        error_raise(L);
}

/* ---- the walk: what lua-cjson cannot say ---- */

typedef struct walk {
    lua_State *L;
    size_t left;       /* arrays and numbers still to be met */
    const char *token; /* NULL: the text was given to lua-cjson as it is */
} walk;

static void walk_table(walk *w);

/* Whether the value on the top is the mark of an empty array (digits NULL) or of a wide integer. */
static bool is_mark(const walk *w, const char **digits)
{
    size_t size;
    const char *text =
        w->token && lua_type(w->L, -1) == LUA_TSTRING ? lua_tolstring(w->L, -1, &size) : NULL;
    if (!text || size < JSCAN_TOKEN_SIZE || memcmp(text, w->token, JSCAN_TOKEN_SIZE) != 0)
        return false;
    *digits = size > JSCAN_TOKEN_SIZE ? text + JSCAN_TOKEN_SIZE : NULL;
    return true;
}

/* The number on the top becomes an integer if that says the same; minus zero does not. True: it
 * did. */
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

/* Mends the value on the top. True: another value stands there now, which its table must be given.
 */
static bool walk_value(walk *w)
{
    const char *digits;
    switch (lua_type(w->L, -1)) {
    case LUA_TTABLE: walk_table(w); return false;
    case LUA_TNUMBER: w->left--; return walk_number(w->L);
    default:
        if (!is_mark(w, &digits) || !digits || lua_stringtonumber(w->L, digits) == 0)
            return false;
        lua_remove(w->L, -2); /* the mark */
        w->left--;
        return true;
    }
}

/* The array on the top; its first element stands above it. */
static void walk_array(walk *w)
{
    lua_State *L = w->L;
    const char *digits;
    lua_Integer count;

    w->left--;
    if (is_mark(w, &digits) && !digits) {
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

/* Only arrays have a [1]: the keys of objects are strings. */
static void walk_table(walk *w)
{
    if (lua_rawgeti(w->L, -1, 1) != LUA_TNIL) {
        walk_array(w);
    } else {
        lua_pop(w->L, 1);
        walk_object(w);
    }
}

/* Mends the value on the top, and no more of it than needs mending. Duplicate keys leave less to be
 * met than was counted. */
static void walk_all(lua_State *L, const json_scan_facts *facts, const char *token)
{
    walk w = { L, facts->arrays + facts->numbers, token };
    if (w.left > 0)
        walk_value(&w);
}

/* ---- decode ---- */

/* Pushes a copy of the text with marks in it. [-0, +1, m] */
static void push_marked(lua_State *L, const char *text, size_t size, const char *token, size_t room)
{
    char *copy = lua_newuserdatauv(L, room, 0);
    lua_pushlstring(L, copy, json_scan_mark(text, size, token, copy));
    lua_remove(L, -2);
}

/* json_decode for a text that may already be a Lua string at `source`; 0 = it is not. */
static bool decode(lua_State *L, memory *m, const char *text, size_t size, int source)
{
    char message[JSCAN_MESSAGE_SIZE];
    const char *token = NULL;
    json_scan_facts facts;
    size_t room;
    int top;

    if (!json_scan(text, size, &facts, message)) {
        lua_pushstring(L, message);
        return false;
    }
    room = json_scan_marked_room(&facts, size);
    check_memory(L, m, size,
                 facts.heap + PARSER_OVERHEAD +
                     (room > size ? 2 * room
                      : source    ? 0
                                  : size));
    luaL_checkstack(L, (int)facts.depth * 3 + 2 * LUA_MINSTACK,
                    "JSON"); /* so that lua-cjson need not grow it */
    top = lua_gettop(L);
    if (room > size)
        token = push_token(L);
    push_parser(L);
    if (token)
        push_marked(L, text, size, token, room);
    else if (source)
        lua_pushvalue(L, source);
    else
        lua_pushlstring(L, text, size);
    run_parser(L, m, &facts, room);
    check_memory(L, m, size, 0); /* the string table may have grown, which no scan can foresee */
    walk_all(L, &facts, token);
    if (token)
        lua_remove(L, top + 1);
    return true;
}

bool json_decode(lua_State *L, memory *m, const char *text, size_t size)
{
    return decode(L, m, text, size, 0);
}

/* ---- the module ---- */

static int l_decode(lua_State *L)
{
    size_t size;
    const char *text;
    luaL_checktype(L, 1, LUA_TSTRING);
    text = lua_tolstring(L, 1, &size);
    lua_settop(L, 1);
    if (decode(L, doc_upvalue(L), text, size, 1))
        return 1;
    text = lua_tostring(L, -1);
    lua_pushnil(L);
    error_new(L, "decode", NULL, "%s", text);
    return 2;
}

/* Leaves the indentation as a string on the top, nil for none. */
static const char *check_indent(lua_State *L)
{
    lua_Integer spaces;
    if (lua_type(L, -1) == LUA_TSTRING) {
        const char *text = lua_tostring(L, -1);
        luaL_argcheck(L, text[strspn(text, " \t")] == '\0' && lua_rawlen(L, -1) == strlen(text), 2,
                      "indent must be spaces or tabs");
        return text;
    }
    luaL_argcheck(L, lua_isinteger(L, -1), 2, "indent must be a string or a number of spaces");
    spaces = lua_tointeger(L, -1);
    luaL_argcheck(L, spaces >= 0 && spaces <= 16, 2, "indent must be 0 to 16 spaces");
    lua_pushlstring(L, "                ", (size_t)spaces);
    return lua_tostring(L, -1);
}

static const option encode_rows[] = {
    { "indent", OPTION_VALUE, 0,
      "string of spaces or tabs, or a number of spaces; one line without it" },
    OPTIONS_END
};

/* The option `indent` of the table at 2, its text kept on the stack; NULL without one. */
static const char *check_encode_options(lua_State *L)
{
    if (lua_isnoneornil(L, 2))
        return NULL;
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_pushnil(L);
    while (lua_next(L, 2)) {
        lua_pop(L, 1);
        if (lua_type(L, -1) != LUA_TSTRING || !options_find(encode_rows, lua_tostring(L, -1))) {
            const char *key = luaL_tolstring(L, -1, NULL);
            luaL_argerror(
                L, 2, lua_pushfstring(L, "unknown option '%s' (the only one is 'indent')", key));
        }
    }
    lua_pushstring(L, "indent");
    return lua_rawget(L, 2) == LUA_TNIL ? NULL : check_indent(L);
}

static int l_encode(lua_State *L)
{
    const char *indent, *text;
    luaL_checkany(L, 1);
    lua_settop(L, 2);
    indent = check_encode_options(L);
    if (json_encode(L, 1, indent))
        return 1;
    text = lua_tostring(L, -1);
    lua_pushnil(L);
    error_new(L, "refused", NULL, "%s", text);
    return 2;
}

static void check_markable(lua_State *L)
{
    lua_settop(L, 1);
    if (lua_isnil(L, 1)) {
        lua_newtable(L);
        lua_replace(L, 1);
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_argcheck(L, json_mark_of(L, 1) != JSON_MARK_FOREIGN, 1,
                  "the table has another metatable already");
}

static int l_array(lua_State *L)
{
    check_markable(L);
    json_mark_array(L);
    return 1;
}

static int l_object(lua_State *L)
{
    check_markable(L);
    json_mark_object(L);
    return 1;
}

/* Replaces the table on the top by its field: a key, or an index when it has no such key and the
 * name is a number. */
static void get_field(lua_State *L, const char *name, size_t size)
{
    lua_pushlstring(L, name, size);
    lua_pushvalue(L, -1); // table name name
    if (lua_rawget(L, -3) == LUA_TNIL && lua_stringtonumber(L, lua_tostring(L, -2)) > 0) {
        lua_rawget(L, -4);
        lua_replace(L, -2);
    }
    lua_replace(L, -3);
    lua_pop(L, 1);
}

static int l_get(lua_State *L)
{
    size_t size, part;
    const char *path = luaL_checklstring(L, 2, &size), *end = path + size;
    lua_settop(L, 2);
    lua_pushvalue(L, 1);
    if (!lua_isnil(L, 1) && !json_mark_is_null(L, 1))
        luaL_checktype(L, 1, LUA_TTABLE);
    for (;; path += part + 1) {
        const char *dot = memchr(path, '.', (size_t)(end - path));
        part = (size_t)((dot ? dot : end) - path);
        if (!lua_istable(L, -1))
            lua_pushnil(L);
        else
            get_field(L, path, part);
        if (!dot || !lua_istable(L, -1))
            break;
    }
    /* null, and a way that ends before the path does, are nil */
    if (path + part < end || json_mark_is_null(L, -1))
        lua_pushnil(L);
    return 1;
}

static const doc_row rows[] = {
    { .name = "decode",
      .function = l_decode,
      .signature = "json.decode(text) -> value | nil, err",
      .help = "Returns the value of a JSON text. Integers keep all 64 bits, [] stays an array, and "
              "null is json.null. err.message says the line and the column of a mistake.",
      .example = "local value = assert(json.decode '{\"id\": 9007199254740993, \"list\": []}')\n"
                 "print(value.id, #value.list)" },
    { .name = "encode",
      .function = l_encode,
      .signature = "json.encode(value [, options]) -> text | nil, err",
      .help = "Returns a value as JSON text, its keys sorted. An empty table is {} unless "
              "json.array made it. A function, a cycle or another value that JSON does not have "
              "throws; text that is not UTF-8, NaN and infinity return nil and an error.",
      .options = { { "options", encode_rows, NULL } },
      .example =
          "print(json.encode({ PatientID = \"1\", Labels = json.array {} }, { indent = 2 }))" },
    { .name = "array",
      .function = l_array,
      .signature = "json.array([t]) -> t",
      .help = "Marks a table, so that it is an array in JSON even when it is empty. Without t it "
              "makes a new table.",
      .example = "print(json.encode { Resources = json.array {} })" },
    { .name = "object",
      .function = l_object,
      .signature = "json.object([t]) -> t",
      .help = "Marks a table, so that it is an object in JSON. Without t it makes a new table.",
      .example = "print(json.encode(json.object {}))" },
    { .name = "get",
      .function = l_get,
      .signature = "json.get(t, path) -> value | nil",
      .help = "Returns the value at a path of keys and list positions, such as \"a.b.2.c\". It "
              "returns nil when a part of the path is missing or null. Metamethods are not used.",
      .example = "local job = { Content = { Query = { { PatientID = \"MOD-0001\" } } } }\n"
                 "print(json.get(job, \"Content.Query.1.PatientID\"))" },
    { .name = NULL }
};

void json_open(lua_State *L, memory *m)
{
    lua_createtable(L, 0, (int)(sizeof rows / sizeof *rows));
    doc_register(L, m, rows);
    json_mark_push_null(L);
    lua_setfield(L, -2, "null");
}
