#include "base/own_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file that was removed after it was opened has no name at all. */
static bool is_own(const struct stat *it)
{
    return S_ISREG(it->st_mode) && it->st_nlink <= 1 && it->st_uid == geteuid();
}

/* What is there can change after the first look, so the open file is looked at too. */
int own_file_open(const char *path, int flags, mode_t mode)
{
    struct stat it;
    int fd;
    if (lstat(path, &it) == 0 && !is_own(&it)) {
        errno = EPERM;
        return -1;
    }
    fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, mode);
    if (fd < 0 || (fstat(fd, &it) == 0 && is_own(&it)))
        return fd;
    close(fd);
    errno = EPERM;
    return -1;
}

const char *own_file_secret_fault(int fd)
{
    struct stat what;
    if (fstat(fd, &what) != 0)
        return strerror(errno);
    if (!S_ISREG(what.st_mode))
        return "it is not a regular file";
    if (what.st_uid != 0 && (what.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        return "other users may read it: chmod 600 helps";
    return NULL;
}
