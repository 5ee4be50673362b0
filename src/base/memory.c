#include "base/memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Blocks are taken from its start to its end. It is freed when all of them have been freed. */
struct memory_reserve {
    memory_reserve *next;
    size_t size;   /* of data */
    size_t taken;  /* bytes of data that blocks have been taken from */
    size_t blocks; /* that have been taken and not freed */
    _Alignas(max_align_t) unsigned char data[];
};

static void *libc_alloc(void *user, void *block, size_t old_size, size_t new_size)
{
    (void)user;
    (void)old_size;
    if (new_size == 0) {
        free(block);
        return NULL;
    }
    return realloc(block, new_size);
}

void memory_init(memory *m, memory_fn alloc, void *user, size_t limit)
{
    memset(m, 0, sizeof *m);
    m->alloc = alloc ? alloc : libc_alloc;
    m->user = user;
    m->limit = limit;
}

bool memory_charge(memory *m, size_t bytes)
{
    if (bytes > memory_left(m))
        return false;
    m->used += bytes;
    return true;
}

void memory_discharge(memory *m, size_t bytes)
{
    m->used -= bytes;
}

size_t memory_left(const memory *m)
{
    if (m->limit == 0)
        return SIZE_MAX;
    return m->used < m->limit ? m->limit - m->used : 0;
}

static bool reserve_holds(const memory_reserve *r, const void *block)
{
    uintptr_t p = (uintptr_t)block, from = (uintptr_t)r->data;
    return p >= from && p < from + r->size;
}

/* The reserve that the block was taken from; NULL: none. */
static memory_reserve *reserve_of(const memory *m, const void *block)
{
    memory_reserve *r = m->reserves;
    while (r && !reserve_holds(r, block))
        r = r->next;
    return r;
}

static void reserve_free_if_empty(memory *m, memory_reserve *r)
{
    memory_reserve **link = &m->reserves;
    if (r->blocks > 0 || (m->uses_reserve && r == m->reserves))
        return;
    while (*link != r)
        link = &(*link)->next;
    *link = r->next;
    m->alloc(m->user, r, sizeof *r + r->size, 0);
}

/* A block from the reserve in use; NULL: it has not enough room. */
static void *reserve_take(memory *m, size_t size)
{
    const size_t align = _Alignof(max_align_t);
    memory_reserve *r = m->reserves;
    size_t from = (r->taken + align - 1) / align * align;
    if (from > r->size || size > r->size - from)
        return NULL;
    r->taken = from + size;
    r->blocks++;
    return r->data + from;
}

/* Grows, shrinks or frees a block that was taken from the reserve r. */
static void *reserve_realloc(memory *m, memory_reserve *r, void *block, size_t old_size,
                             size_t new_size)
{
    void *moved = NULL;
    if (new_size > 0 && new_size <= old_size)
        return block;
    if (new_size > 0) {
        moved = m->alloc(m->user, NULL, 0, new_size);
        if (!moved && m->uses_reserve)
            moved = reserve_take(m, new_size);
        if (!moved)
            return NULL;
        memcpy(moved, block, old_size);
    }
    r->blocks--;
    reserve_free_if_empty(m, r);
    return moved;
}

static void *host_realloc(memory *m, void *block, size_t old_size, size_t new_size)
{
    void *moved = m->alloc(m->user, block, old_size, new_size);
    if (moved || new_size == 0)
        return moved;
    if (!m->uses_reserve)
        return NULL;
    moved = reserve_take(m, new_size);
    if (moved && block) {
        memcpy(moved, block, old_size);
        m->alloc(m->user, block, old_size, 0);
    }
    return moved;
}

void *memory_realloc(void *user, void *block, size_t old_size, size_t new_size)
{
    memory *m = user;
    memory_reserve *r = block && m->reserves ? reserve_of(m, block) : NULL;
    void *moved;

    if (!block)
        old_size = 0; /* Lua passes the type of the new object here */
    if (new_size > old_size && !m->uses_reserve && new_size - old_size > memory_left(m))
        return NULL;
    if (!block && new_size == 0)
        return NULL;
    moved = r ? reserve_realloc(m, r, block, old_size, new_size)
              : host_realloc(m, block, old_size, new_size);
    if (moved || new_size == 0)
        m->used = m->used - old_size + new_size;
    return moved;
}

char *memory_string(memory *m, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = memory_realloc(m, NULL, 0, size);
    if (copy)
        memcpy(copy, text, size);
    return copy;
}

void memory_free_string(memory *m, char *text)
{
    if (text)
        memory_realloc(m, text, strlen(text) + 1, 0);
}

bool memory_begin_reserved(memory *m, size_t bytes)
{
    memory_reserve *r;
    if (bytes > SIZE_MAX - sizeof *r)
        return false;
    r = m->alloc(m->user, NULL, 0, sizeof *r + bytes);
    if (!r)
        return false;
    r->next = m->reserves;
    r->size = bytes;
    r->taken = 0;
    r->blocks = 0;
    m->reserves = r;
    m->uses_reserve = true;
    return true;
}

void memory_end_reserved(memory *m)
{
    m->uses_reserve = false;
    reserve_free_if_empty(m, m->reserves);
}
