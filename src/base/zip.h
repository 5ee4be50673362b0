/* base/zip.h - whether a ZIP file is there to its end. Orthanc sends archives without a length, so that
 * a connection that broke looks like the end of one. Knows no Lua. */
#ifndef BASE_ZIP_H
#define BASE_ZIP_H

#include <stdbool.h>
#include <stddef.h>

#define ZIP_TYPE "application/zip"

enum { ZIP_END = 22, ZIP_TAIL = ZIP_END + 0xffff }; /* bytes of the last record: least, most */

/* Whether the file whose last `size` bytes (of ZIP_TAIL, or all) these are has the record with
 * which all of them end. */
bool zip_has_end(const char *tail, size_t size);

#endif
