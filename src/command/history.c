#include "command/history.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own_file.h"
#include "command/buffer.h"
#include "command/user_file.h"

/* ---- where it is ---- */

char *history_path(void)
{
    const char *chosen = getenv("MODALUA_HISTORY");
    if (chosen)
        return chosen[0] ? strdup(chosen) : NULL;
    return user_file_path("XDG_STATE_HOME", ".local/state", "modalua/history");
}

/* Makes the folders of a path. Only the user may enter them. */
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

/* ---- writing ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n';
}

static bool begins_with(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* Whether there may be the option -u user:password of a command in the entry. The option --url is none, and
 * neither is -u with a URL, as of modalua: has_credentials looks at URLs. */
static bool has_user_option(const char *entry)
{
    for (const char *at = strstr(entry, "-u"); at; at = strstr(at + 1, "-u")) {
        const char *text = at + strlen("-u");
        if (at == entry || (!is_blank(at[-1]) && at[-1] != '-') ||
            (at[-1] == '-' && begins_with(text, "rl")))
            continue;
        text += begins_with(text, "ser") ? strlen("ser") : 0;
        text += strspn(text, " \t=\"'");
        if (begins_with(text, "http://") || begins_with(text, "https://"))
            continue;
        for (; *text && !is_blank(*text); text++)
            if (*text == ':')
                return true;
    }
    return false;
}

/* Whether the word stands in the entry by itself. */
static bool has_word(const char *entry, const char *word)
{
    size_t size = strlen(word);
    for (const char *at = strcasestr(entry, word); at; at = strcasestr(at + 1, word))
        if ((at == entry || !isalnum((unsigned char)at[-1])) && !isalnum((unsigned char)at[size]))
            return true;
    return false;
}

/* Whether there may be user:password@ in the entry, in a URL with a scheme or without. */
static bool has_credentials(const char *entry)
{
    const char *url = strstr(entry, "://");
    if (url && strchr(url, '@'))
        return true;
    for (const char *at = strchr(entry, '@'); at; at = strchr(at + 1, '@'))
        for (const char *p = at; p > entry && !strchr(" \t\n\"'", p[-1]); p--)
            if (p[-1] == ':')
                return true;
    return false;
}

/* Looks for words that usually stand beside a secret, among them the options of connect that are
 * secret, for user:password@ in a URL, and for the settings of a peer. It drops some harmless
 * entries, rather than keep a password. */
bool history_may_hold_secret(const char *entry)
{
#define WORD_OPEN(name)
#define WORD_USER(name)
#define WORD_URL(name)
#define WORD_PASSWORD(name) #name,
#define WORD_SECRET(name)   #name,
    static const char *const words[] = {
#define CONNECT_STRING(name, config, sandbox, secrecy, ...) WORD_##secrecy(name)
#include "base/connect_options.def"
        "passw",  "passphrase", "pwd",     "secret", "authorization", "credential",
        "bearer", "api_key",    "api-key", "apikey", "/peers/"
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcasestr(entry, words[i]))
            return true;
    return has_word(entry, "pw") || has_word(entry, "pass") || has_user_option(entry) ||
           has_credentials(entry);
}

/* Appends the entry as a line of the file. */
static bool add_history_line(buffer *b, const char *entry)
{
    bool ok = true;
    for (; ok && *entry; entry++)
        ok = *entry == '\n'   ? buffer_add(b, "\\n", 2)
             : *entry == '\\' ? buffer_add(b, "\\\\", 2)
                              : buffer_add(b, entry, 1);
    return ok && buffer_add(b, "\n", 1);
}

/* One call of write, so that the lines of two sessions do not mix. A part of a line, which is all that
 * fits on a full disk, is removed again. */
static bool write_at_once(int fd, const buffer *b)
{
    ssize_t n = write(fd, b->data, b->size);
    off_t end = n > 0 ? lseek(fd, 0, SEEK_CUR) : 0;
    if (n < 0 || (size_t)n == b->size)
        return n >= 0;
    if (end >= n)
        (void)!ftruncate(fd, end - n);
    errno = ENOSPC;
    return false;
}

/* MODALUA_HISTORY=/dev/null means: no history. */
static bool is_dev_null(const char *path)
{
    struct stat it, null;
    return stat(path, &it) == 0 && stat("/dev/null", &null) == 0 && S_ISCHR(it.st_mode) &&
           it.st_rdev == null.st_rdev;
}

bool history_append(const char *path, const char *entry)
{
    buffer line = { 0 };
    bool ok = false;
    int fd;
    if (!entry[0] || entry[0] == ' ' || history_may_hold_secret(entry) || is_dev_null(path))
        return true;
    make_folders(path);
    fd = own_file_open(path, O_WRONLY | O_APPEND | O_CREAT, S_IRUSR | S_IWUSR);
    if (fd < 0)
        return false;
    if (fchmod(fd, S_IRUSR | S_IWUSR) == 0 && add_history_line(&line, entry))
        ok = write_at_once(fd, &line);
    free(line.data);
    close(fd);
    return ok;
}

/* ---- reading ---- */

/* Makes an entry of a line, in place: the reverse of add_history_line. */
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

/* Replaces the history file by what follows in `from`. A session that appends meanwhile loses at
 * most what it has appended; the file is never half written. */
static void shorten(const char *path, FILE *from)
{
    char other[PATH_MAX], block[4096];
    size_t n;
    int fd;
    bool ok = snprintf(other, sizeof other, "%s.XXXXXX", path) < (int)sizeof other;
    fd = ok ? mkstemp(other) : -1; /* only its owner may read it */
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
    int fd = own_file_open(path, O_RDONLY, 0);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
    char *line = NULL;
    size_t room = 0, lines, skipped;
    long start;
    if (!file) {
        if (fd >= 0)
            close(fd);
        return;
    }
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
