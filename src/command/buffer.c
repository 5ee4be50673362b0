#include "command/buffer.h"

#include <stdlib.h>
#include <string.h>

bool buffer_add(buffer *b, const char *bytes, size_t size)
{
    if (b->size + size + 1 > b->room) {
        size_t room = (b->size + size + 1) * 2;
        char *grown = realloc(b->data, room);
        if (!grown)
            return false;
        b->data = grown;
        b->room = room;
    }
    if (size > 0)
        memcpy(b->data + b->size, bytes, size);
    b->size += size;
    b->data[b->size] = '\0';
    return true;
}

bool buffer_add_shown(buffer *b, const char *text, size_t size, shown_style style)
{
    char escape[SHOWN_ESCAPE];
    bool ok = true;
    for (size_t at = 0; ok && at < size;) {
        size_t n = shown_harmless(text + at, size - at, style);
        ok = buffer_add(b, text + at, n);
        at += n;
        if (!ok || at == size)
            break;
        at += shown_escape(text + at, size - at, style, escape);
        ok = buffer_add(b, escape, strlen(escape));
    }
    return ok;
}
