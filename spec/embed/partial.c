/* partial.c - a downloaded file gets its name when the disk has it, and not before: the program
 * stands before fsync and rename, sees what the file is then, and lets them fail. Its argument is the
 * URL of the fault server. */
#define _GNU_SOURCE

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runs.h"

enum { BYTES = 100000 };

static char folder[] = "/tmp/partial-XXXXXX", target[64], part[80];

/* What has happened to the file so far. */
static struct {
    int syncs, renames;
    bool sync_fails, rename_fails;
} seen;

static off_t size_of(const char *path)
{
    struct stat file;
    return stat(path, &file) == 0 ? file.st_size : -1;
}

/* These two are called in the place of the C library's own. */
int fsync(int fd)
{
    struct stat synced, there;
    CHECK(fstat(fd, &synced) == 0 && stat(part, &there) == 0 && synced.st_ino == there.st_ino);
    CHECK(synced.st_size == BYTES); /* all of it has been written */
    CHECK(seen.renames == 0);
    seen.syncs++;
    if (!seen.sync_fails)
        return 0;
    errno = EIO;
    return -1;
}

int rename(const char *from, const char *to)
{
    int (*real)(const char *, const char *) =
        (int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename");
    CHECK(strcmp(from, part) == 0 && strcmp(to, target) == 0);
    CHECK(seen.syncs == 1); /* the disk has it */
    seen.renames++;
    if (!seen.rename_fails)
        return real(from, to);
    errno = EXDEV;
    return -1;
}

/* Downloads to the target. `expectation` is about ok and err, in Lua. */
static void download(const char *url, const char *expectation)
{
    char code[400];
    modalua_config config = watched();
    modalua_runtime *rt;
    config.url = url;
    rt = make(&config);
    seen.syncs = seen.renames = 0;
    snprintf(code, sizeof code,
             "local ok, err = require 'modalua'.connect():download('/big?bytes=%d', '%s')\n"
             "assert(%s, tostring(err))",
             BYTES, target, expectation);
    pass(rt, code);
    modalua_destroy(rt);
    CHECK(size_of(part) == -1);
}

static void write_old(void)
{
    FILE *file = fopen(target, "w");
    CHECK(file && fputs("old", file) >= 0 && fclose(file) == 0);
}

int main(int argc, char **argv)
{
    CHECK(argc == 2 && mkdtemp(folder));
    snprintf(target, sizeof target, "%s/target", folder);
    snprintf(part, sizeof part, "%s.part", target);
    download(argv[1], "ok == 100000");
    CHECK(seen.syncs == 1 && seen.renames == 1 && size_of(target) == BYTES);
    write_old();
    seen.sync_fails = true;
    download(argv[1], "not ok and err.code == 'file' and err.message:find 'Input/output error'");
    CHECK(seen.renames == 0 && size_of(target) == 3);
    seen.sync_fails = false;
    seen.rename_fails = true;
    download(argv[1], "not ok and err.code == 'file' and err.message:find 'cross%-device'");
    CHECK(size_of(target) == 3);
    CHECK(unlink(target) == 0 && rmdir(folder) == 0);
    return 0;
}
