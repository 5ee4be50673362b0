#include "command/history.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command/json_text.h"

/* ---- where it is ---- */

char *history_path(void)
{
    static const char name[] = "modalua/history";
    const char *chosen = getenv("MODALUA_HISTORY"), *folder = getenv("XDG_STATE_HOME"), *below = "";
    char path[PATH_MAX];
    if (chosen)
        return chosen[0] ? strdup(chosen) : NULL;
    if (!folder || folder[0] != '/') {
        folder = getenv("HOME");
        below = ".local/state/";
    }
    if (!folder || folder[0] != '/' ||
        snprintf(path, sizeof path, "%s/%s%s", folder, below, name) >= (int)sizeof path)
        return NULL;
    return strdup(path);
}

/* Makes the folders that a path goes through, each for its owner alone. */
static void make_folders(const char *path)
{
    char folder[PATH_MAX];
    if (snprintf(folder, sizeof folder, "%s", path) >= (int)sizeof folder)
        return;
    for (char *slash = strchr(folder + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(folder, S_IRWXU);
        *slash = '/';
    }
}

/* ---- what is written ---- */

/* Rather a line too many than a password: words that secrets are given with, and user:pass@ in a
 * URL. */
static bool may_hold_secret(const char *entry)
{
    static const char *const words[] = { "password", "passwd",        "token",
                                         "secret",   "authorization", "credential" };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcasestr(entry, words[i]))
            return true;
    for (const char *p = strstr(entry, "://"); p; p = strstr(p + 3, "://"))
        if (p[3 + strcspn(p + 3, "/ \"'@")] == '@')
            return true;
    return false;
}

static bool add_line(buffer *t, const char *entry)
{
    bool ok = true;
    for (; ok && *entry; entry++)
        ok = *entry == '\n'   ? buffer_add(t, "\\n", 2)
             : *entry == '\\' ? buffer_add(t, "\\\\", 2)
                              : buffer_add(t, entry, 1);
    return ok && buffer_add(t, "\n", 1);
}

/* All of it at once, so that the lines of two sessions do not mix. */
static bool write_all(int fd, const buffer *t)
{
    ssize_t n = write(fd, t->data, t->size);
    if (n >= 0 && (size_t)n < t->size)
        errno = ENOSPC;
    return n == (ssize_t)t->size;
}

bool history_append(const char *path, const char *entry)
{
    buffer line = { 0 };
    bool ok = false;
    int fd;
    if (!entry[0] || entry[0] == ' ' || may_hold_secret(entry))
        return true;
    make_folders(path);
    fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (fd < 0)
        return false;
    if (fchmod(fd, S_IRUSR | S_IWUSR) == 0 && add_line(&line, entry))
        ok = write_all(fd, &line);
    free(line.data);
    close(fd);
    return ok;
}

/* ---- what is read ---- */

/* In place: what add_line has written. */
static void unescape(char *line)
{
    char *to = line;
    for (const char *p = line; *p && *p != '\n'; p++) {
        if (p[0] == '\\' && (p[1] == 'n' || p[1] == '\\'))
            *to++ = *++p == 'n' ? '\n' : '\\';
        else
            *to++ = *p;
    }
    *to = '\0';
}

/* Puts the entries from this place on into a file of their own, which then takes the old one's
 * place. */
static void shorten(const char *path, FILE *from)
{
    char other[PATH_MAX], block[4096];
    size_t n;
    int fd;
    bool ok = snprintf(other, sizeof other, "%s.XXXXXX", path) < (int)sizeof other;
    fd = ok ? mkstemp(other) : -1; /* for its owner alone */
    if (fd < 0)
        return;
    while (ok && (n = fread(block, 1, sizeof block, from)) > 0)
        ok = write(fd, block, n) == (ssize_t)n;
    close(fd);
    if (!ok || rename(other, path) != 0)
        unlink(other);
}

static size_t count_lines(FILE *file)
{
    size_t lines = 0;
    int c;
    while ((c = getc(file)) != EOF)
        lines += c == '\n';
    return lines;
}

void history_load(const char *path, void (*entry)(void *user, const char *text), void *user)
{
    FILE *file = fopen(path, "re");
    char *line = NULL;
    size_t room = 0, lines, skipped;
    long start;
    if (!file)
        return;
    lines = count_lines(file);
    rewind(file);
    for (skipped = 0; skipped + HISTORY_SIZE < lines && getline(&line, &room, file) >= 0;)
        skipped++;
    start = ftell(file);
    while (getline(&line, &room, file) >= 0) {
        unescape(line);
        entry(user, line);
    }
    if (skipped > HISTORY_SIZE && start > 0 && fseek(file, start, SEEK_SET) == 0)
        shorten(path, file);
    free(line);
    fclose(file);
}
