#include "command/line_editor.h"

#include <errno.h>
#include <histedit.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#include "command/console.h"
#include "command/history.h"
#include "command/json_text.h"
#include "command/signals.h"

enum { LISTED = 100, REPLACEMENT = 0xFFFD };

struct line_editor {
    EditLine *el;
    History *history;
    char *path; /* of the history's file, or NULL */
    line_editor_complete_fn complete;
    void *user;
    const char *prompt, *earlier;
    char *line, *last; /* what line_editor_read gave; the newest of the history */
    bool invalid;      /* the line has something that is not UTF-8 */
    int ahead; /* a byte that was read, and is not part of the letter before it; -1 = none */
};

static line_editor *editor_of(EditLine *el)
{
    void *e = NULL;
    el_get(el, EL_CLIENTDATA, &e);
    return e;
}

static char *prompt_of(EditLine *el)
{
    return (char *)editor_of(el)->prompt;
}

/* ---- letters ---- */

/* The next byte; -1 and errno when a signal has come or the terminal is gone, 0 at its end. */
static int read_byte(line_editor *e, unsigned char *byte)
{
    for (;;) {
        ssize_t n;
        if (e->ahead >= 0) {
            *byte = (unsigned char)e->ahead;
            e->ahead = -1;
            return 1;
        }
        if (signals_noted()) {
            errno = EINTR;
            return -1;
        }
        n = read(STDIN_FILENO, byte, 1);
        if (n >= 0 || errno != EINTR)
            return (int)n;
        el_resize(e->el); /* a window that has another size interrupts too */
    }
}

/* libedit's own reader drops what is not UTF-8 without a word, so that another line would run than
 * the one that was typed. */
static int read_letter(EditLine *el, wchar_t *letter)
{
    line_editor *e = editor_of(el);
    unsigned char bytes[4];
    int n = read_byte(e, bytes), size, got = 1;
    if (n <= 0)
        return n;
    size = bytes[0] < 0x80 ? 1 : bytes[0] < 0xE0 ? 2 : bytes[0] < 0xF0 ? 3 : 4;
    for (; got < size && (n = read_byte(e, bytes + got)) == 1; got++)
        if ((bytes[got] & 0xC0) != 0x80) {
            e->ahead = bytes[got];
            break;
        }
    if (n < 0)
        return n;
    if (got < size || !text_is_utf8((const char *)bytes, (size_t)size)) {
        e->invalid = true;
        *letter = REPLACEMENT;
        return 1;
    }
    *letter = size == 1 ? bytes[0] : bytes[0] & (0x7F >> size);
    for (int i = 1; i < size; i++)
        *letter = (wchar_t)(*letter << 6 | (bytes[i] & 0x3F));
    return 1;
}

/* ---- TAB ---- */

typedef struct candidates {
    char *list[LISTED];
    size_t count, all; /* how many are in the list; how many there are */
    size_t common;     /* bytes at their beginning that all have */
    int replaced;
} candidates;

static void read_candidates(candidates *c, const char *json)
{
    char *word;
    memset(c, 0, sizeof *c);
    c->replaced = (int)strtol(json + 1, NULL, 10);
    while ((word = json_next_string(&json))) {
        size_t same = 0;
        while (c->all > 0 && same < c->common && word[same] == c->list[0][same])
            same++;
        c->common = c->all == 0 ? strlen(word) : same;
        if (c->all++ < LISTED)
            c->list[c->count++] = word;
        else
            free(word);
    }
}

/* In columns, below the line. */
static void list_candidates(const candidates *c)
{
    size_t widest = 0, columns;
    for (size_t i = 0; i < c->count; i++)
        widest = strlen(c->list[i]) > widest ? strlen(c->list[i]) : widest;
    columns = console_width() / (widest + 2);
    columns = columns > 0 ? columns : 1;
    for (size_t i = 0; i < c->count; i++)
        printf("%s%-*s", i % columns == 0 ? "\n" : "  ", (int)widest, c->list[i]);
    if (c->all > c->count)
        printf("\n…(+%zu)", c->all - c->count);
    putchar('\n');
    fflush(stdout);
}

/* What all candidates have in common takes the place of what stands there; when that is nothing
 * new, they are shown. */
static unsigned char take_candidates(line_editor *e, candidates *c)
{
    if (c->all == 0)
        return CC_REFRESH_BEEP;
    if (c->all > 1 && c->common <= (size_t)c->replaced) {
        list_candidates(c);
        return CC_REDISPLAY;
    }
    c->list[0][c->common] = '\0';
    el_deletestr(e->el, c->replaced);
    return el_insertstr(e->el, c->list[0]) == 0 ? CC_REFRESH : CC_ERROR;
}

/* Where a line begins, TAB indents. */
static unsigned char on_tab(EditLine *el, int key)
{
    line_editor *e = editor_of(el);
    const LineInfo *line = el_line(el);
    size_t size = (size_t)(line->cursor - line->buffer);
    buffer before = { 0 };
    candidates found;
    const char *json = NULL;
    unsigned char result;
    (void)key;
    if (strspn(line->buffer, " ") >= size)
        return el_insertstr(el, "  ") == 0 ? CC_REFRESH : CC_ERROR;
    if (buffer_add(&before, e->earlier, strlen(e->earlier)) &&
        buffer_add(&before, line->buffer, size))
        json = e->complete(e->user, before.data, before.size);
    free(before.data);
    if (!json)
        return CC_REFRESH_BEEP;
    read_candidates(&found, json);
    result = take_candidates(e, &found);
    for (size_t i = 0; i < found.count; i++)
        free(found.list[i]);
    return result;
}

/* ---- history ---- */

static void enter(void *user, const char *input)
{
    line_editor *e = user;
    HistEvent event;
    history(e->history, &event, H_ENTER, input);
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
    if (e->path && !history_append(e->path, input)) {
        fprintf(stderr, "modalua: the history cannot be written: %s: %s\n", e->path,
                strerror(errno));
        free(e->path);
        e->path = NULL;
    }
}

void line_editor_each(line_editor *e, void (*entry)(void *user, const char *input), void *user)
{
    HistEvent event;
    for (int more = history(e->history, &event, H_LAST); more >= 0;
         more = history(e->history, &event, H_PREV))
        entry(user, event.str);
}

/* ---- lines ---- */

/* Letters need a locale whose encoding is UTF-8, also where the user's has none. The rest of the
 * locale stays "C": numbers have a decimal point. */
static void choose_letters(void)
{
    setlocale(LC_CTYPE, "");
    if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
        setlocale(LC_CTYPE, "C.UTF-8");
}

static void on_resize(int sig)
{
    (void)sig;
}

static void settle(line_editor *e)
{
    HistEvent event;
    struct sigaction how;
    el_set(e->el, EL_CLIENTDATA, e);
    el_set(e->el, EL_PROMPT, prompt_of);
    el_set(e->el, EL_GETCFN, read_letter);
    el_set(e->el, EL_EDITOR, "emacs");
    el_set(e->el, EL_ADDFN, "modalua-complete", "Completes what stands before the cursor", on_tab);
    el_set(e->el, EL_BIND, "^I", "modalua-complete", NULL);
    el_set(e->el, EL_BIND, "^R", "em-inc-search-prev", NULL);
    el_set(e->el, EL_BIND, "^W", "ed-delete-prev-word", NULL);
    el_set(e->el, EL_HIST, history, e->history);
    history(e->history, &event, H_SETSIZE, HISTORY_SIZE);
    history(e->history, &event, H_SETUNIQUE, 1);
    memset(&how, 0, sizeof how); /* without SA_RESTART */
    how.sa_handler = on_resize;
    sigaction(SIGWINCH, &how, NULL);
}

line_editor *line_editor_open(const char *path, line_editor_complete_fn complete, void *user)
{
    line_editor *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    choose_letters();
    e->complete = complete;
    e->user = user;
    e->prompt = e->earlier = "";
    e->ahead = -1;
    e->path = path ? strdup(path) : NULL;
    e->history = history_init();
    e->el = e->history ? el_init("modalua", stdin, stdout, stderr) : NULL;
    if (!e->el) {
        line_editor_close(e);
        return NULL;
    }
    settle(e);
    if (e->path)
        history_load(e->path, enter, e);
    return e;
}

void line_editor_close(line_editor *e)
{
    if (!e)
        return;
    if (e->el)
        el_end(e->el);
    if (e->history)
        history_end(e->history);
    free(e->path);
    free(e->line);
    free(e->last);
    free(e);
}

line_editor_result line_editor_read(line_editor *e, const char *prompt, const char *earlier,
                                    const char **line)
{
    int count = 0;
    const char *typed;
    e->prompt = prompt;
    e->earlier = earlier;
    e->invalid = false;
    free(e->line);
    e->line = NULL;
    el_resize(e->el);
    el_set(e->el, EL_PREP_TERM, 1); /* before the prompt: what is typed right then is not lost */
    typed = el_gets(e->el, &count);
    if (!typed || count <= 0) {
        el_reset(e->el);
        return signals_noted() ? LINE_EDITOR_STOPPED : LINE_EDITOR_END;
    }
    if (e->invalid)
        return LINE_EDITOR_INVALID;
    e->line = strdup(typed);
    if (!e->line)
        return LINE_EDITOR_END;
    if (e->line[0] && e->line[strlen(e->line) - 1] == '\n')
        e->line[strlen(e->line) - 1] = '\0';
    *line = e->line;
    return LINE_EDITOR_LINE;
}
