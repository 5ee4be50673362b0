/* base/memory.h - the memory account of one runtime: it counts every byte, and refuses growth
 * beyond the limit.
 *
 * memory_realloc has the signature of lua_Alloc, so that Lua's heap and the bodies of answers are
 * on the same account. Knows no Lua. One thread at a time.
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
    memory_reserve *reserves; /* those that still have blocks in use; nearly always none */
    bool uses_reserve;        /* between memory_begin_reserved and memory_end_reserved */
} memory;

/* Opens an account. alloc NULL: realloc and free of the C library. */
void memory_init(memory *m, memory_fn alloc, void *user, size_t limit);

/* lua_Alloc, with the account as `user`. Shrinking and freeing cannot fail, if they cannot fail
 * with the host's allocator. */
void *memory_realloc(void *user, void *block, size_t old_size, size_t new_size);

/* Copies a string. NULL: not enough memory. */
char *memory_string(memory *m, const char *text);

/* Frees a string that memory_string made and that has kept its length. NULL is fine. */
void memory_free_string(memory *m, char *text);

/* Bytes that can still be taken before the limit; SIZE_MAX without a limit. */
size_t memory_left(const memory *m);

/* Counts bytes of another allocator, such as libcurl's. False: they would exceed the limit, and are not
 * counted. memory_discharge takes them off. */
bool memory_charge(memory *m, size_t bytes);
void memory_discharge(memory *m, size_t bytes);

/* For code that must not see a Lua memory error: lua-cjson would leak its scratch buffer.
 * memory_begin_reserved reserves `bytes`. From then on allocations ignore the limit, and come from
 * the reserve when the host's allocator fails, until memory_end_reserved. False: the reserve cannot
 * be had, and nothing has changed. Not nested. */
bool memory_begin_reserved(memory *m, size_t bytes);
void memory_end_reserved(memory *m);

#endif
