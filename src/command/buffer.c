#include "command/buffer.h"

#include <stdio.h>
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

bool buffer_add_file(buffer *b, const char *path)
{
    FILE *file = fopen(path, "re");
    char block[4096];
    size_t n;
    bool ok = file != NULL;
    while (ok && (n = fread(block, 1, sizeof block, file)) > 0)
        ok = buffer_add(b, block, n);
    ok = ok && !ferror(file) && buffer_add(b, "", 0);
    if (file)
        fclose(file);
    return ok;
}

bool buffer_add_shown(buffer *b, const char *text, size_t size, shown_style style)
{
    char escape[SHOWN_ESCAPE];
    const char *end = text + size, *piece;
    while ((piece = shown_next(&text, end, style, escape, &size)))
        if (!buffer_add(b, piece, size))
            return false;
    return true;
}
