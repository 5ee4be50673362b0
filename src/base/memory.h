/* base/memory.h - the memory of one runtime: every byte counted, growth refused beyond a limit.
 *
 * mem_realloc has the signature of a lua_Alloc, so the Lua heap and the bodies of answers draw on
 * one account. Knows no Lua. One thread at a time.
 */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

typedef void *(*mem_fn)(void *user, void *block, size_t old_size, size_t new_size);

typedef struct mem_reserve mem_reserve;

typedef struct mem {
    mem_fn alloc; /* the host's allocator */
    void *user;
    size_t limit; /* bytes; 0 = none */
    size_t used;
    mem_reserve *reserves; /* blocks that sheltered allocations were cut from; nearly always none */
    bool sheltered;
} mem;

/* Starts an account. alloc NULL means the C library's realloc and free. */
void mem_init(mem *m, mem_fn alloc, void *user, size_t limit);

/* lua_Alloc over an account (user is the mem). Shrinking and freeing do not fail, as long as they
 * do not with the host's allocator. */
void *mem_realloc(void *user, void *block, size_t old_size, size_t new_size);

/* Bytes that may still be taken before the limit; SIZE_MAX without one. */
size_t mem_left(const mem *m);

/* Between these two calls allocations ignore the limit, and when the host's allocator fails they
 * are cut from a reserve of `bytes` taken beforehand: code that cannot survive a Lua memory error
 * in the middle (lua-cjson, which then leaks its scratch buffer) runs here. False when the reserve
 * itself cannot be had; nothing has changed then. Not nested. */
bool mem_shelter(mem *m, size_t bytes);
void mem_unshelter(mem *m);

#endif
