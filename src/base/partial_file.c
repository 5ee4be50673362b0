#include "base/partial_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own_file.h"

/* Whether `part` still names the open file: the process that had the lock before may have renamed
 * or removed it. */
static bool is_still_named(int fd, const char *part)
{
    struct stat ours, there;
    return fstat(fd, &ours) == 0 && lstat(part, &there) == 0 && ours.st_dev == there.st_dev &&
           ours.st_ino == there.st_ino;
}

/* Takes the lock. True: another process has it. Some file systems have no locks; then it is false.
 */
static bool is_locked_elsewhere(int fd)
{
    return flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

int partial_file_open(const char *path, const char *part)
{
    struct stat there;
    bool replaces = stat(path, &there) == 0;
    if (replaces && !S_ISREG(there.st_mode)) {
        errno = S_ISDIR(there.st_mode) ? EISDIR : EEXIST;
        return -1;
    }
    for (;;) {
        int fd = own_file_open(part, O_RDWR | O_CREAT, 0666);
        if (fd < 0)
            return -1;
        if (is_locked_elsewhere(fd)) {
            close(fd);
            errno = EBUSY;
            return -1;
        }
        if (!is_still_named(fd, part)) {
            close(fd);
            continue;
        }
        if (replaces) /* a private file stays private; some file systems have no permissions */
            (void)!fchmod(fd, there.st_mode & 0777);
        return fd;
    }
}

int partial_file_write(int fd, const char *data, size_t size, off_t *at)
{
    while (size > 0) {
        ssize_t n = pwrite(fd, data, size, *at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? errno : EIO;
        *at += n;
        data += n;
        size -= (size_t)n;
    }
    return 0;
}

int partial_file_commit(int fd, const char *path, const char *part)
{
    int error = 0;
    if (fsync(fd) != 0 || rename(part, path) != 0)
        error = errno;
    if (error)
        unlink(part);
    if (close(fd) != 0 && !error)
        error = errno;
    return error;
}

void partial_file_abandon(int fd, const char *part)
{
    unlink(part);
    close(fd);
}
