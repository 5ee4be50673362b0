/* base/partial_file.h - a file that appears under its name when it is complete, and not before: until then it is
 * beside it, as name.part, locked against other processes. Knows no Lua. Blocks as disks do. */
#ifndef BASE_PARTIAL_FILE_H
#define BASE_PARTIAL_FILE_H

/* A part has this more than the file's name. */
#define PARTIAL_FILE_SUFFIX ".part"

/* Makes the part of the file `path`, or takes over what an ended process has left of one. Returns
 * its descriptor, or -1 with errno: EISDIR, when the file would have to replace a folder; EEXIST, a
 * device or a pipe; EBUSY, when somebody else is writing it; EPERM, when the part is another
 * user's, or a link. A file that it is to replace gives it its permissions. */
int partial_file_open(const char *path, const char *part);

/* Writes it to disk, closes it, and gives it its name, replacing what had it. Returns 0, or errno;
 * the part is gone then. */
int partial_file_commit(int fd, const char *path, const char *part);

/* Removes it. */
void partial_file_abandon(int fd, const char *part);

#endif
