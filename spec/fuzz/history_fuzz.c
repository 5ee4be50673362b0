/* history_fuzz.c - fuzzes the history of the prompt. The input is a list of entries with NULs between
 * them: those that are appended to the file are loaded from it, in their order, and nothing else is.
 * Then the input itself is the file, which must load too, as often as it has lines. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command/history.h"
#include "fuzz.h"

enum { ENTRIES = 200 };

typedef struct entries {
    char *texts[ENTRIES];
    size_t count;
} entries;

static void free_entries(entries *e)
{
    while (e->count > 0)
        free(e->texts[--e->count]);
}

static void on_entry(void *user, const char *text)
{
    entries *e = user;
    REQUIRE(e->count < ENTRIES);
    e->texts[e->count++] = strdup(text);
}

static void on_line(void *user, const char *text)
{
    size_t *lines = user;
    REQUIRE(strlen(text) < SIZE_MAX);
    ++*lines;
}

static off_t size_of(int fd)
{
    struct stat st;
    REQUIRE(fstat(fd, &st) == 0);
    return st.st_size;
}

/* An entry that history_append does not write, since it may hold a secret or begins with a space, leaves
 * the file as it is. */
static void append(int fd, const char *path, fuzz_input in)
{
    entries written = { 0 }, loaded = { 0 };
    REQUIRE(ftruncate(fd, 0) == 0);
    for (size_t i = 0; i < ENTRIES && in.left > 0; i++) {
        char *entry = fuzz_take(&in, '\0');
        off_t before = size_of(fd);
        REQUIRE(history_append(path, entry));
        if (size_of(fd) > before)
            written.texts[written.count++] = entry;
        else
            free(entry);
    }
    history_load(path, on_entry, &loaded);
    REQUIRE(loaded.count == written.count);
    for (size_t i = 0; i < loaded.count; i++)
        REQUIRE(strcmp(loaded.texts[i], written.texts[i]) == 0);
    free_entries(&written);
    free_entries(&loaded);
}

static void load(int fd, const char *path, fuzz_input in)
{
    size_t lines = 0, expected = in.left > 0 && in.at[in.left - 1] != '\n';
    REQUIRE(ftruncate(fd, 0) == 0 && pwrite(fd, in.at, in.left, 0) == (ssize_t)in.left);
    for (size_t i = 0; i < in.left; i++)
        expected += in.at[i] == '\n';
    history_load(path, on_line, &lines);
    REQUIRE(lines == expected || expected > HISTORY_SIZE);
}

/* The file has no name between two inputs, so that none is left over. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    int fd;
    snprintf(path, sizeof path, "%s/modalua-fuzz-%ld",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", (long)getpid());
    fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);
    REQUIRE(fd >= 0);
    append(fd, path, fuzz_begin(data, size));
    load(fd, path, fuzz_begin(data, size));
    close(fd);
    unlink(path);
    return 0;
}
