#include "base/memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

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

/* Calls the host's allocator. */
static void *call_alloc(memory *m, void *block, size_t old_size, size_t new_size)
{
    void *moved;
    if (!m->thread)
        return m->alloc(m->user, block, old_size, new_size);
    host_thread_lend(m->thread);
    moved = m->alloc(m->user, block, old_size, new_size);
    host_thread_take_back(m->thread);
    return moved;
}

void memory_init(memory *m, memory_fn alloc, void *user, size_t limit)
{
    memset(m, 0, sizeof *m);
    m->alloc = alloc ? alloc : libc_alloc;
    m->user = user;
    m->limit = limit;
}

static void note_peak(memory *m)
{
    if (m->used > m->peak)
        m->peak = m->used;
}

bool memory_charge(memory *m, size_t bytes)
{
    if (bytes > memory_left(m))
        return false;
    m->used += bytes;
    note_peak(m);
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

void *memory_realloc(void *user, void *block, size_t old_size, size_t new_size)
{
    memory *m = user;
    void *moved;

    if (!block)
        old_size = 0; /* Lua passes the type of the new object here */
    if (new_size > old_size && new_size - old_size > memory_left(m))
        return NULL;
    if (!block && new_size == 0)
        return NULL;
    moved = call_alloc(m, block, old_size, new_size);
    if (moved || new_size == 0)
        m->used = m->used - old_size + new_size;
    note_peak(m);
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
