#include "command/session_files.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "command/console.h"
#include "command/history.h"
#include "command/json_text.h"

bool session_files_read(const char *path, buffer *text)
{
    if (!buffer_add_file(text, path))
        console_complain("%s: %s", path, strerror(errno));
    else if (!utf8_is_valid(text->data, text->size))
        console_complain("%s is not UTF-8, and was not run", path);
    else
        return true;
    return false;
}

/* Whether the file exists and does not begin as the head does. */
static bool is_another_file(const char *path, const char *head)
{
    size_t size = strcspn(head, "\n");
    char *begin = malloc(size + 1);
    FILE *file = fopen(path, "re");
    bool same =
        file && begin && fread(begin, 1, size, file) == size && memcmp(begin, head, size) == 0;
    bool missing = !file && errno == ENOENT;
    if (file)
        fclose(file);
    free(begin);
    return !missing && !same;
}

/* Writes the pieces of the answer. *kept and *secret count them. */
static void write_pieces(FILE *file, const char *answer, size_t *kept, size_t *secret)
{
    for (char *piece; (piece = json_text_next_string(&answer)); free(piece)) {
        bool hidden = history_may_hold_secret(piece);
        ++*(hidden ? secret : kept);
        fprintf(file, "\n%s\n",
                hidden ? "-- An input that may hold a secret was left out." : piece);
    }
}

static bool save(const char *path, const char *head, const char *answer)
{
    size_t kept = 0, secret = 0;
    FILE *file;
    bool ok;
    if (is_another_file(path, head)) {
        console_complain("%s exists, and is no script that .save has made: it stays as it is",
                         path);
        return false;
    }
    file = fopen(path, "we");
    ok = file && fputs(head, file) >= 0;
    if (ok)
        write_pieces(file, answer, &kept, &secret);
    if ((file && fclose(file) != 0) || !ok) {
        console_complain("%s: %s", path, strerror(errno));
        return false;
    }
    console_complain("%s has %zu input%s%s", path, kept, kept == 1 ? "" : "s",
                     secret ? "; what may hold a secret was left out" : "");
    return true;
}

bool session_files_save(const char *answer)
{
    char *path = json_text_next_string(&answer);
    char *head = path ? json_text_next_string(&answer) : NULL;
    bool ok = head && save(path, head, answer);
    free(path);
    free(head);
    return ok;
}
