/* parser.c - the memory of the JSON parser is that of the runtime, also when it ends. */
#define _POSIX_C_SOURCE 200809L

#include <stdbool.h>
#include <stdlib.h>

#include "runs.h"

enum { LARGE = 1000 * 1000 };

typedef struct watched_memory {
    long live;        /* blocks */
    long large;       /* blocks of at least LARGE bytes that were asked for */
    bool gives_large; /* else it has none of these */
} watched_memory;

static void *allocate(void *user, void *block, size_t old_size, size_t new_size)
{
    watched_memory *m = user;
    void *moved;
    (void)old_size;
    if (new_size == 0) {
        m->live -= block != NULL;
        free(block);
        return NULL;
    }
    if (new_size >= LARGE) {
        m->large++;
        if (!m->gives_large)
            return NULL;
    }
    moved = realloc(block, new_size);
    m->live += !block && moved;
    return moved;
}

/* The text of a megabyte has one number: only the parser's buffer is large. */
static const char prepare[] = "json = require 'modalua.json'\n"
                              "text = '[' .. (' '):rep(1000000) .. '1.5]'\n";

static const char decode[] = "assert(json.decode(text)[1] == 1.5)";

static const char decode_without_memory[] =
    "local ok, err = pcall(json.decode, text)\n"
    "assert(not ok and err.kind == 'limit' and err.code == 'memory', err)\n"
    "assert(err.message == 'not enough memory to decode a JSON text of 977 KB', err)";

/* The blocks in use after a decode that got no buffer. */
static long live_after_failure(modalua_runtime *rt, watched_memory *memory)
{
    memory->gives_large = false;
    pass(rt, decode_without_memory);
    memory->gives_large = true;
    pass(rt, "collectgarbage() collectgarbage()");
    return memory->live;
}

int main(void)
{
    watched_memory memory = { .gives_large = true };
    modalua_config config = watched();
    modalua_runtime *rt;
    long live;
    config.alloc = allocate;
    config.alloc_user = &memory;
    rt = make(&config);
    pass(rt, prepare);

    memory.large = 0;
    pass(rt, decode);
    CHECK(memory.large == 1);

    live = live_after_failure(rt, &memory);
    CHECK(live_after_failure(rt, &memory) == live);
    pass(rt, decode);
    modalua_destroy(rt);
    CHECK(memory.live == 0);
    return 0;
}
