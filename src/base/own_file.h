/* base/own_file.h - opens files that are written in the name of the user. A device, a pipe, a folder
 * or a link in their place is left alone. And says whether a file is private. Knows no Lua. */
#ifndef BASE_OWN_FILE_H
#define BASE_OWN_FILE_H

#include <sys/types.h>

/* Opens the file as open() does, but only a regular file of this user that has no other name and is
 * no link: otherwise another user could have put a link there, to have a different file read or
 * overwritten. It never blocks. Anything else is not opened: opening a device can have effects. The
 * descriptor is close-on-exec. Returns -1 with errno; EPERM: something else is there. */
int own_file_open(const char *path, int flags, mode_t mode);

/* What speaks against a secret in the open file, a static text; NULL: nothing. The file must be a regular
 * one that no other user may read, or of root: then the administrator may mean several users to read it. */
const char *own_file_secret_fault(int fd);

#endif
