/* command/buffer.h - a text that grows. */
#ifndef COMMAND_BUFFER_H
#define COMMAND_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

/* {0} is an empty one. `data` ends with a NUL, or is NULL while nothing has been added. The caller
 * frees `data`. */
typedef struct buffer {
    char *data;
    size_t size, room;
} buffer;

/* Appends bytes. False: out of memory; the text is unchanged. */
bool buffer_add(buffer *b, const char *bytes, size_t size);

#endif
