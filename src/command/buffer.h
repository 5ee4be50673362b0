/* command/buffer.h - a text that grows. */
#ifndef COMMAND_BUFFER_H
#define COMMAND_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/shown.h"

/* {0} is an empty one. `data` ends with a NUL, or is NULL while nothing has been added. The caller
 * frees `data`. */
typedef struct buffer {
    char *data;
    size_t size, room;
} buffer;

/* Appends bytes. False: out of memory; the text is unchanged. */
bool buffer_add(buffer *b, const char *bytes, size_t size);

/* Appends what is in a file. False: it cannot be read (errno), or out of memory. */
bool buffer_add_file(buffer *b, const char *path);

/* Appends a text in a form that is harmless for a terminal. False: out of memory; a part may have been
 * appended. */
bool buffer_add_shown(buffer *b, const char *text, size_t size, shown_style style);

#endif
