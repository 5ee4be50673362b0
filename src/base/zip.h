/* base/zip.h - whether a file is a ZIP file, and complete. Orthanc sends archives without a length: when the
 * connection breaks, that looks like the end of the file. Knows no Lua. */
#ifndef BASE_ZIP_H
#define BASE_ZIP_H

#include <stdbool.h>
#include <stddef.h>

#define ZIP_TYPE "application/zip"

/* Sizes of the last record of a ZIP file ("end of central directory"), without and with the longest
 * comment. */
enum { ZIP_END = 22, ZIP_TAIL = ZIP_END + 0xffff };

/* The bytes that show what a file is. */
enum { ZIP_BEGIN = 2 };

/* Whether a ZIP file begins like this: with an entry, or, when it is empty, with its end. */
bool zip_has_begin(const char begin[ZIP_BEGIN]);

/* Whether a file has that record. `tail`: the last `size` bytes of the file: ZIP_TAIL of them, or
 * the whole file when it is smaller. */
bool zip_has_end(const char *tail, size_t size);

#endif
