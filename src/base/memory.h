/* base/memory.h - the memory account of one runtime: it counts every byte, and refuses growth
 * beyond the limit.
 *
 * memory_realloc has the signature of lua_Alloc, so that Lua's heap and the bodies of answers are
 * on the same account. Knows no Lua. One thread at a time.
 */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include <stddef.h>

#include "base/host_thread.h"

typedef void *(*memory_fn)(void *user, void *block, size_t old_size, size_t new_size);

typedef struct memory {
    memory_fn alloc; /* the host's allocator */
    void *user;
    host_thread *thread; /* lent to the host's allocator; NULL = it is not the host's */
    size_t limit;        /* bytes; 0 = none */
    size_t used;
    size_t peak; /* the largest `used` so far */
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

#endif
