#include "command/line_editor.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/terminal.h"
#include "base/text_width.h"
#include "base/utf8.h"
#include "command/console.h"
#include "command/editing.h"
#include "command/history.h"
#include "command/json_text.h"

/* ---- completion ---- */

static void read_candidates(candidates *c, const char *json)
{
    char *word;
    memset(c, 0, sizeof *c);
    c->replaced = strtoul(json + 1, NULL, 10);
    while ((word = json_text_next_string(&json))) {
        size_t same = 0;
        while (c->all > 0 && same < c->common && word[same] == c->list[0][same])
            same++;
        c->common = c->all == 0 ? strlen(word) : utf8_truncate(word, strlen(word), same);
        if (c->all++ < CANDIDATES_MAX)
            c->list[c->count++] = word;
        else
            free(word);
    }
}

bool editing_candidates(line_editor *e, const char *line, size_t size, candidates *c)
{
    buffer before = { 0 };
    const char *json = NULL;
    if (buffer_add(&before, e->earlier.data, e->earlier.size) && buffer_add(&before, line, size))
        json = e->complete(e->user, before.data, before.size);
    free(before.data);
    if (!json)
        return false;
    read_candidates(c, json);
    if (c->replaced > size)
        editing_free_candidates(c);
    return c->count > 0;
}

void editing_free_candidates(candidates *c)
{
    for (size_t i = 0; i < c->count; i++)
        free(c->list[i]);
    c->count = 0;
}

/* The bytes of the folder in which all candidates are; 0 when they are no files. */
static size_t folder_size(const candidates *c)
{
    size_t size = c->count > 0 ? strlen(c->list[0]) : 0;
    size -= size > 0; /* a folder ends with a slash itself */
    for (size_t i = 0; i < c->count; i++)
        while (size > 0 &&
               (c->list[0][size - 1] != '/' || strncmp(c->list[i], c->list[0], size) != 0))
            size--;
    return size;
}

/* What is shown of a candidate: no folder, and no quote that ends the string. */
static const char *shown_part(const char *word, size_t folder, size_t *size)
{
    *size = strlen(word + folder);
    if (*size > 1 && strchr("\"'", word[folder + *size - 1]))
        --*size;
    return word + folder;
}

static size_t widest_of(const candidates *c, size_t folder)
{
    size_t widest = 0;
    for (size_t i = 0; i < c->count; i++) {
        size_t size;
        const char *part = shown_part(c->list[i], folder, &size);
        size_t width = text_width_columns(part, size);
        widest = width > widest ? width : widest;
    }
    return widest;
}

void editing_print_candidates(const candidates *c)
{
    size_t folder = folder_size(c), width = widest_of(c, folder) + 2;
    size_t columns = terminal_width(STDOUT_FILENO) / width;
    columns = columns > 0 ? columns : 1;
    for (size_t i = 0; i < c->count; i++) {
        size_t size;
        const char *part = shown_part(c->list[i], folder, &size);
        bool is_last = i + 1 == c->count || (i + 1) % columns == 0;
        size_t padding = is_last ? 0 : width - text_width_columns(part, size);
        if (i % columns == 0)
            putchar('\n');
        console_show(stdout, part, size, SHOWN_LINE);
        printf("%*s", (int)padding, "");
    }
    if (c->all > c->count)
        printf("\n…(+%zu)", c->all - c->count);
    putchar('\n');
    fflush(stdout);
}

/* ---- history ---- */

static void enter(void *user, const char *input)
{
    line_editor *e = user;
    e->how->enter(e, input);
}

void line_editor_remember(line_editor *e, const char *input)
{
    char *copy;
    if (!input[0] || (e->last && strcmp(e->last, input) == 0))
        return;
    enter(e, input);
    copy = strdup(input);
    free(e->last);
    e->last = copy;
    if (e->history_file && !history_append(e->history_file, input)) {
        console_complain("the history cannot be written: %s: %s", e->history_file,
                         errno == EPERM ? "it is not a regular file of yours, or a link"
                                        : strerror(errno));
        free(e->history_file);
        e->history_file = NULL;
    }
}

void line_editor_each(line_editor *e, void (*entry)(void *user, const char *input), void *user)
{
    e->how->each(e, entry, user);
}

/* ---- opening and closing ---- */

/* Both editors need a locale whose encoding is UTF-8, even when the user's locale has another one. The
 * other categories stay "C": Lua reads and writes numbers with a decimal point. */
static void choose_locale(void)
{
    setlocale(LC_CTYPE, "");
    if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
        setlocale(LC_CTYPE, "C.UTF-8");
}

line_editor *line_editor_open(const char *history_file, line_editor_complete_fn complete,
                              line_editor_hint_fn hint, void *user)
{
    line_editor *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    choose_locale();
    e->complete = complete;
    e->hint = hint;
    e->user = user;
    e->history_file = history_file ? strdup(history_file) : NULL;
    if (!readline_open(e) && !libedit_open(e)) {
        line_editor_close(e);
        return NULL;
    }
    if (e->history_file)
        history_load(e->history_file, enter, e);
    return e;
}

void line_editor_close(line_editor *e)
{
    if (!e)
        return;
    if (e->how)
        e->how->close(e);
    free(e->history_file);
    free(e->earlier.data);
    free(e->line.data);
    free(e->last);
    free(e);
}

/* ---- lines ---- */

line_editor_result line_editor_read(line_editor *e, const line_request *request, const char **input)
{
    line_editor_result result;
    e->request = *request;
    e->earlier.size = e->line.size = 0;
    if (!buffer_add(&e->earlier, request->earlier, strlen(request->earlier)) ||
        !buffer_add(&e->line, "", 0))
        return LINE_EDITOR_END;
    result = e->how->read(e);
    if (result != LINE_EDITOR_LINE)
        return result;
    if (!utf8_is_valid(e->line.data, e->line.size))
        return LINE_EDITOR_INVALID;
    if (!buffer_add(&e->earlier, e->line.data, e->line.size))
        return LINE_EDITOR_END;
    *input = e->earlier.data;
    return LINE_EDITOR_LINE;
}
