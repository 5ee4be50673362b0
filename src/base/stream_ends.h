/* base/stream_ends.h - keeps the beginning and the end of a body that goes to a stream of the host, so that
 * they can be checked as those of a file. Knows no Lua. */
#ifndef BASE_STREAM_ENDS_H
#define BASE_STREAM_ENDS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/zip.h"

enum { STREAM_BEGIN = 132 }; /* what shows that a file is DICOM (PS3.10 7.1) */

typedef struct stream_ends {
    size_t size; /* of all of it */
    char begin[STREAM_BEGIN];
    char end[ZIP_TAIL]; /* a ring: the byte at x is at x % ZIP_TAIL. Only of a ZIP archive */
} stream_ends;

void stream_ends_clear(stream_ends *e);

/* The next bytes. */
void stream_ends_add(stream_ends *e, const char *data, size_t size);

/* Copies bytes from the position `at`. False: they are not there, or have not been kept. */
bool stream_ends_read(const stream_ends *e, char *into, size_t size, size_t at);

#endif
