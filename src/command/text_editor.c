#include "command/text_editor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command/console.h"

/* Runs the editor and waits for it. Meanwhile Ctrl-C belongs to the editor alone, as with system(). */
static bool run(const char *path)
{
    static const char command[] =
        "e=${VISUAL:-$EDITOR}; [ \"$e\" ] || e=$(command -v editor) || e=vi; exec $e \"$1\"";
    void (*before)(int) = signal(SIGINT, SIG_IGN);
    pid_t child = fork();
    int status = -1;
    if (child == 0) {
        signal(SIGINT, SIG_DFL);
        execl("/bin/sh", "sh", "-c", command, "sh", path, (char *)NULL);
        _exit(127);
    }
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    signal(SIGINT, before);
    return child > 0 && status == 0;
}

static bool write_text(int fd, const char *text)
{
    FILE *file = fdopen(fd, "w");
    bool ok = file && fputs(text, file) >= 0 && fputc('\n', file) >= 0;
    if (!file)
        close(fd);
    return file && fclose(file) == 0 && ok;
}

static bool read_text(const char *path, buffer *text)
{
    bool ok = buffer_add_file(text, path);
    while (text->size > 0 && text->data[text->size - 1] == '\n')
        text->data[--text->size] = '\0';
    return ok;
}

bool text_editor_run(const char *text, buffer *edited)
{
    const char *folder = getenv("TMPDIR");
    char path[PATH_MAX];
    int fd;
    bool ok;
    snprintf(path, sizeof path, "%s/modalua-XXXXXX.lua", folder && folder[0] ? folder : "/tmp");
    fd = mkostemps(path, (int)strlen(".lua"), O_CLOEXEC);
    if (fd < 0 || !write_text(fd, text)) {
        console_complain("no file can be made for the editor: %s: %s", path, strerror(errno));
        if (fd >= 0)
            unlink(path);
        return false;
    }
    ok = run(path);
    if (!ok)
        console_complain("the editor has failed; $VISUAL or $EDITOR chooses another one");
    ok = ok && read_text(path, edited);
    unlink(path);
    return ok;
}
