#include "base/stream_ends.h"

#include <string.h>

void stream_ends_clear(stream_ends *e)
{
    e->size = 0;
}

/* Copies the bytes that come to the position `at`, of which only the last ZIP_TAIL stay. */
static void add_to_ring(stream_ends *e, const char *data, size_t size, size_t at)
{
    size_t skip = size > ZIP_TAIL ? size - ZIP_TAIL : 0;
    while (skip < size) {
        size_t place = (at + skip) % ZIP_TAIL, n = size - skip;
        if (n > ZIP_TAIL - place)
            n = ZIP_TAIL - place;
        memcpy(e->end + place, data + skip, n);
        skip += n;
    }
}

void stream_ends_add(stream_ends *e, const char *data, size_t size)
{
    size_t begun = e->size < STREAM_BEGIN ? e->size : STREAM_BEGIN;
    size_t n = size < STREAM_BEGIN - begun ? size : STREAM_BEGIN - begun;
    if (size == 0)
        return;
    memcpy(e->begin + begun, data, n);
    begun += n;
    if (begun < ZIP_BEGIN || zip_has_begin(e->begin))
        add_to_ring(e, data, size, e->size);
    e->size += size;
}

bool stream_ends_read(const stream_ends *e, char *into, size_t size, size_t at)
{
    size_t kept = e->size < ZIP_TAIL ? 0 : e->size - ZIP_TAIL;
    if (at > e->size || size > e->size - at)
        return false;
    if (at < STREAM_BEGIN && size <= STREAM_BEGIN - at) {
        memcpy(into, e->begin + at, size);
        return true;
    }
    if (at < kept || !zip_has_begin(e->begin))
        return false;
    for (size_t i = 0; i < size; i++)
        into[i] = e->end[(at + i) % ZIP_TAIL];
    return true;
}
