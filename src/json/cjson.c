#include "json/cjson.h"

#include <lauxlib.h>
#include <locale.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "binding/error.h"
#include "json/scan.h"

/* Its address is a place in the registry. */
static const char parser_key;

/* A block of memory that lua-cjson has taken. */
typedef struct block {
    struct block *next, **link; /* in call->blocks; link NULL: in none */
    memory *memory;
    size_t size; /* with this head */
    _Alignas(max_align_t) unsigned char data[];
} block;

/* A call of lua-cjson that is under way on this thread. lua-cjson passes nothing to malloc that could say
 * for which state it is. */
typedef struct call {
    lua_State *L;
    memory *memory;
    block *blocks; /* that it has taken and not freed */
    block *spare;  /* for a block that must not fail; NULL = none */
    locale_t c;
    bool is_out_of_memory;
    struct call *outer; /* a finalizer may decode inside a decode */
} call;

static _Thread_local call *current;

/* ---- what lua-cjson calls instead of the C library ---- */

#define BOUND __attribute__((visibility("hidden")))

BOUND void *json_cjson_malloc(size_t size);
BOUND void *json_cjson_realloc(void *data, size_t size);
BOUND void json_cjson_free(void *data);
BOUND _Noreturn void json_cjson_exit(int code);
BOUND _Noreturn void json_cjson_abort(void);
BOUND _Noreturn void json_cjson_assert(const char *what, const char *file, unsigned line,
                                       const char *function);
BOUND _Noreturn int json_cjson_print(void *file, int flag, const char *format, ...);
BOUND void json_cjson_init(void);
BOUND double json_cjson_strtod(const char *text, char **end);
BOUND int json_cjson_luaopen(lua_State *L); /* luaopen_cjson */

/* Only passed to json_cjson_print. */
extern BOUND void *json_cjson_stderr;
void *json_cjson_stderr;

static block *block_of(void *data)
{
    return (block *)((unsigned char *)data - offsetof(block, data));
}

static void block_link(block *b, block **head)
{
    b->next = *head;
    b->link = head;
    if (b->next)
        b->next->link = &b->next;
    *head = b;
}

static void block_unlink(block *b)
{
    if (b->link)
        *b->link = b->next;
    if (b->link && b->next)
        b->next->link = b->link;
    b->link = NULL;
}

static void block_free(block *b)
{
    block_unlink(b);
    memory_realloc(b->memory, b, b->size, 0);
}

static _Noreturn void throw_out_of_memory(void)
{
    current->is_out_of_memory = true;
    lua_pushnil(current->L);
    error_raise(current->L);
}

static block *block_new(memory *m, size_t size)
{
    block *b = size > SIZE_MAX - sizeof *b ? NULL : memory_realloc(m, NULL, 0, sizeof *b + size);
    if (b)
        *b = (block){ .memory = m, .size = sizeof *b + size };
    return b;
}

void *json_cjson_malloc(size_t size)
{
    block *b = current->spare;
    if (b && size <= b->size - sizeof *b)
        current->spare = NULL;
    else
        b = block_new(current->memory, size);
    if (!b) { /* as Lua does for its own memory */
        lua_gc(current->L, LUA_GCCOLLECT);
        b = block_new(current->memory, size);
    }
    if (!b)
        throw_out_of_memory();
    block_link(b, &current->blocks);
    return b->data;
}

void *json_cjson_realloc(void *data, size_t size)
{
    block *b = block_of(data), *moved;
    block_unlink(b);
    moved = size > SIZE_MAX - sizeof *b ? NULL
                                        : memory_realloc(b->memory, b, b->size, sizeof *b + size);
    block_link(moved ? moved : b, &current->blocks);
    if (!moved)
        throw_out_of_memory();
    moved->size = sizeof *b + size;
    return moved->data;
}

void json_cjson_free(void *data)
{
    if (data)
        block_free(block_of(data));
}

/* These are for checks of itself that have failed. */

void json_cjson_abort(void)
{
    lua_pushliteral(current->L, "lua-cjson has failed");
    error_raise(current->L);
}

void json_cjson_exit(int code)
{
    (void)code;
    json_cjson_abort();
}

void json_cjson_assert(const char *what, const char *file, unsigned line, const char *function)
{
    (void)what;
    (void)file;
    (void)line;
    (void)function;
    json_cjson_abort();
}

/* It prints only in order to exit then. */
int json_cjson_print(void *file, int flag, const char *format, ...)
{
    (void)file;
    (void)flag;
    (void)format;
    json_cjson_abort();
}

/* lua-cjson would look for the decimal point of the locale here. */
void json_cjson_init(void)
{
}

double json_cjson_strtod(const char *text, char **end)
{
    return strtod_l(text, end, current->c);
}

/* ---- calls ---- */

/* lua_pcall of a function of lua-cjson. [-(arguments + 1), +1, -] */
static int call_protected(call *c, int arguments)
{
    int status;
    c->c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (c->c == (locale_t)0) {
        lua_pop(c->L, arguments + 1);
        lua_pushnil(c->L);
        return LUA_ERRMEM;
    }
    c->outer = current;
    current = c;
    status = lua_pcall(c->L, arguments, 1, 0);
    current = c->outer;
    freelocale(c->c);
    return c->is_out_of_memory ? LUA_ERRMEM : status;
}

int json_cjson_decode(lua_State *L, memory *m)
{
    call c = { .L = L, .memory = m };
    int status = call_protected(&c, 1);
    while (c.blocks)
        block_free(c.blocks);
    return status;
}

/* Calls a setting function of lua-cjson's module, which is below the top, with the value on the
 * top. [-1, +0, e] */
static void configure(lua_State *L, const char *setting)
{
    lua_getfield(L, -2, setting);
    lua_insert(L, -2);
    lua_call(L, 1, 0);
}

/* Makes an instance of lua-cjson. Returns its decode function. */
static int open_parser(lua_State *L)
{
    json_cjson_luaopen(L);
    lua_pushboolean(L, 0);
    configure(L, "encode_keep_buffer");
    lua_pushboolean(L, 0);
    configure(L, "decode_invalid_numbers");
    lua_pushinteger(L, JSON_DEPTH_MAX);
    configure(L, "decode_max_depth");
    lua_getfield(L, -1, "decode");
    return 1;
}

/* lua-cjson frees the buffer of an instance in its finalizer, which reads undefined memory when this buffer
 * could not be made. So it gets a block that is there before. What is left belongs to that finalizer. */
static int call_open_parser(lua_State *L, memory *m)
{
    enum { BUFFER = 1024 };
    call c = { .L = L, .memory = m, .spare = block_new(m, BUFFER) };
    int status = c.spare ? call_protected(&c, 0) : LUA_ERRMEM;
    if (c.spare)
        block_free(c.spare);
    while (c.blocks)
        block_unlink(c.blocks);
    return status;
}

void json_cjson_push(lua_State *L, memory *m)
{
    int status;
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &parser_key) == LUA_TFUNCTION)
        return;
    lua_pop(L, 1);
    lua_pushcfunction(L, open_parser);
    status = call_open_parser(L, m);
    if (status == LUA_ERRMEM)
        error_throw(L, "limit", "memory", "not enough memory for the JSON parser");
    if (status != LUA_OK)
        error_raise(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &parser_key);
}
