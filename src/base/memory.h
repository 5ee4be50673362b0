/* base/memory.h - the memory of one runtime: every byte counted, growth refused beyond a limit.
 *
 * memory_realloc has the signature of a lua_Alloc, so the Lua heap and the bodies of answers draw on
 * one account. Knows no Lua. One thread at a time.
 */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

typedef void *(*memory_fn)(void *user, void *block, size_t old_size, size_t new_size);

typedef struct memory_reserve memory_reserve;

typedef struct memory {
    memory_fn alloc; /* the host's allocator */
    void *user;
    size_t limit; /* bytes; 0 = none */
    size_t used;
    memory_reserve
        *reserves; /* blocks that sheltered allocations were cut from; nearly always none */
    bool sheltered;
} memory;

/* Starts an account. alloc NULL means the C library's realloc and free. */
void memory_init(memory *m, memory_fn alloc, void *user, size_t limit);

/* lua_Alloc over an account (user is the memory). Shrinking and freeing do not fail, as long as they
 * do not with the host's allocator. */
void *memory_realloc(void *user, void *block, size_t old_size, size_t new_size);

/* Copies a string. NULL: not enough memory. */
char *memory_string(memory *m, const char *text);

/* Frees a string that memory_string made and that has kept its length. NULL is fine. */
void memory_free_string(memory *m, char *text);

/* Bytes that may still be taken before the limit; SIZE_MAX without one. */
size_t memory_left(const memory *m);

/* Between these two calls allocations ignore the limit, and when the host's allocator fails they
 * are cut from a reserve of `bytes` taken beforehand: code that cannot survive a Lua memory error
 * in the middle (lua-cjson, which then leaks its scratch buffer) runs here. False when the reserve
 * itself cannot be had; nothing has changed then. Not nested. */
bool memory_shelter(memory *m, size_t bytes);
void memory_unshelter(memory *m);

#endif
