/* base/partial_file.h - writes a file so that it appears under its name only when it is complete.
 * Until then a temporary file, name.part, is beside it, locked against other processes. The
 * functions block until the disk has answered. Knows no Lua. */
#ifndef BASE_PARTIAL_FILE_H
#define BASE_PARTIAL_FILE_H

#include <sys/types.h>

/* The name of the temporary file is the file's name with this suffix. */
#define PARTIAL_FILE_SUFFIX ".part"

/* Opens the temporary file `part` of the file `path`; creates it, or takes over the one that a
 * process which has ended left behind. When `path` exists, `part` gets its permissions. Returns the
 * descriptor, or -1 with errno: EISDIR, `path` is a folder; EEXIST, `path` is a device or a pipe;
 * EBUSY, another process is writing the file; EPERM, `part` is no regular file of this user, or a link.
 */
int partial_file_open(const char *path, const char *part);

/* Writes all bytes at the offset *at, and moves it behind what has been written. Returns 0, or errno. */
int partial_file_write(int fd, const char *data, size_t size, off_t *at);

/* Writes the temporary file to disk, closes it, and renames it to `path`, which it replaces.
 * Returns 0, or errno; the temporary file is gone then. */
int partial_file_commit(int fd, const char *path, const char *part);

/* Removes the temporary file. */
void partial_file_abandon(int fd, const char *part);

#endif
