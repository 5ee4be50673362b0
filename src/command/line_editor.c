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

#include "base/terminal.h"
#include "base/text_width.h"
#include "base/utf8.h"
#include "command/console.h"
#include "command/history.h"
#include "command/json_text.h"
#include "command/signals.h"

enum { CANDIDATES_MAX = 100, REPLACEMENT_CHARACTER = 0xFFFD };

struct line_editor {
    EditLine *el;
    History *history;
    char *history_file; /* NULL: the history is not saved */
    line_editor_complete_fn complete;
    void *user;
    const char *prompt, *earlier; /* the arguments of line_editor_read */
    char *line;                   /* the line that line_editor_read returned */
    char *last;                   /* the newest entry of the history */
    bool invalid;                 /* the present line has bytes that are not UTF-8 */
    int unread; /* a byte that was read, and belongs to the next character; -1 = none */
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

/* ---- characters ---- */

/* Reads a byte. Returns 1; 0 at the end of the input; -1 with errno when a signal has arrived or
 * the terminal is gone. */
static int read_byte(line_editor *e, unsigned char *byte)
{
    for (;;) {
        ssize_t n;
        if (e->unread >= 0) {
            *byte = (unsigned char)e->unread;
            e->unread = -1;
            return 1;
        }
        if (signals_noted()) {
            errno = EINTR;
            return -1;
        }
        n = read(STDIN_FILENO, byte, 1);
        if (n >= 0 || errno != EINTR)
            return (int)n;
        el_resize(e->el); /* the interruption may be a new size of the window */
    }
}

/* Takes the place of libedit's own reader, which drops bytes that are not UTF-8 without a word: the
 * line that runs would then not be the line that was typed. */
static int read_character(EditLine *el, wchar_t *character)
{
    line_editor *e = editor_of(el);
    unsigned char bytes[4];
    int n = read_byte(e, bytes), size, got = 1;
    if (n <= 0)
        return n;
    size = bytes[0] < 0x80 ? 1 : bytes[0] < 0xE0 ? 2 : bytes[0] < 0xF0 ? 3 : 4;
    for (; got < size && (n = read_byte(e, bytes + got)) == 1; got++)
        if (!utf8_is_continuation((char)bytes[got])) {
            e->unread = bytes[got];
            break;
        }
    if (n < 0)
        return n;
    if (got < size || !utf8_is_valid((const char *)bytes, (size_t)size)) {
        e->invalid = true;
        *character = REPLACEMENT_CHARACTER;
        return 1;
    }
    *character = size == 1 ? bytes[0] : bytes[0] & (0x7F >> size);
    for (int i = 1; i < size; i++)
        *character = (wchar_t)(*character << 6 | (bytes[i] & 0x3F));
    return 1;
}

/* ---- completion ---- */

typedef struct candidates {
    char *list[CANDIDATES_MAX];
    size_t count;    /* how many are in the list */
    size_t all;      /* how many there are */
    size_t common;   /* the number of bytes at their beginning that all share */
    size_t replaced; /* the number of bytes before the cursor that each replaces */
} candidates;

static void read_candidates(candidates *c, const char *json)
{
    char *word;
    memset(c, 0, sizeof *c);
    c->replaced = strtoul(json + 1, NULL, 10);
    while ((word = json_text_next_string(&json))) {
        size_t same = 0;
        while (c->all > 0 && same < c->common && word[same] == c->list[0][same])
            same++;
        c->common = c->all == 0 ? strlen(word) : same;
        if (c->all++ < CANDIDATES_MAX)
            c->list[c->count++] = word;
        else
            free(word);
    }
}

static size_t widest_of(const candidates *c)
{
    size_t widest = 0;
    for (size_t i = 0; i < c->count; i++) {
        size_t width = text_width_columns(c->list[i], strlen(c->list[i]));
        widest = width > widest ? width : widest;
    }
    return widest;
}

/* Prints the candidates in columns below the line. */
static void print_candidates(const candidates *c)
{
    size_t width = widest_of(c) + 2, columns = terminal_width(STDOUT_FILENO) / width;
    columns = columns > 0 ? columns : 1;
    for (size_t i = 0; i < c->count; i++) {
        const char *word = c->list[i];
        bool is_last = i + 1 == c->count || (i + 1) % columns == 0;
        size_t padding = is_last ? 0 : width - text_width_columns(word, strlen(word));
        if (i % columns == 0)
            putchar('\n');
        console_show(stdout, word, strlen(word), SHOWN_LINE);
        printf("%*s", (int)padding, "");
    }
    if (c->all > c->count)
        printf("\n…(+%zu)", c->all - c->count);
    putchar('\n');
    fflush(stdout);
}

/* Inserts the beginning that all candidates share. When that adds nothing, shows them. */
static unsigned char take_candidates(line_editor *e, candidates *c)
{
    if (c->all == 0)
        return CC_REFRESH_BEEP;
    if (c->all > 1 && c->common <= c->replaced) {
        print_candidates(c);
        return CC_REDISPLAY;
    }
    c->list[0][c->common] = '\0';
    el_deletestr(e->el, (int)c->replaced);
    return el_insertstr(e->el, c->list[0]) == 0 ? CC_REFRESH : CC_ERROR;
}

/* TAB. At the beginning of a line it indents. */
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

/* Adds an entry to libedit's history. */
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
    HistEvent event;
    for (int more = history(e->history, &event, H_LAST); more >= 0;
         more = history(e->history, &event, H_PREV))
        entry(user, event.str);
}

/* ---- opening and closing ---- */

/* libedit needs a locale whose encoding is UTF-8, even when the user's locale has another one. The
 * other categories stay "C": Lua reads and writes numbers with a decimal point. */
static void choose_locale(void)
{
    setlocale(LC_CTYPE, "");
    if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
        setlocale(LC_CTYPE, "C.UTF-8");
}

static void on_resize(int sig)
{
    (void)sig;
}

/* Without SA_RESTART, so that a new size of the window interrupts read_byte. */
static void catch_resize(void)
{
    struct sigaction how;
    memset(&how, 0, sizeof how);
    how.sa_handler = on_resize;
    sigaction(SIGWINCH, &how, NULL);
}

static void set_up_editing(line_editor *e)
{
    HistEvent event;
    el_set(e->el, EL_CLIENTDATA, e);
    el_set(e->el, EL_PROMPT, prompt_of);
    el_set(e->el, EL_GETCFN, read_character);
    el_set(e->el, EL_EDITOR, "emacs");
    el_set(e->el, EL_ADDFN, "modalua-complete", "Completes the text before the cursor", on_tab);
    el_set(e->el, EL_BIND, "^I", "modalua-complete", NULL);
    el_set(e->el, EL_BIND, "^R", "em-inc-search-prev", NULL);
    el_set(e->el, EL_BIND, "^W", "ed-delete-prev-word", NULL);
    el_set(e->el, EL_HIST, history, e->history);
    history(e->history, &event, H_SETSIZE, HISTORY_SIZE);
    history(e->history, &event, H_SETUNIQUE, 1);
}

line_editor *line_editor_open(const char *history_file, line_editor_complete_fn complete,
                              void *user)
{
    line_editor *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    choose_locale();
    e->complete = complete;
    e->user = user;
    e->prompt = e->earlier = "";
    e->unread = -1;
    e->history_file = history_file ? strdup(history_file) : NULL;
    e->history = history_init();
    e->el = e->history ? el_init("modalua", stdin, stdout, stderr) : NULL;
    if (!e->el) {
        line_editor_close(e);
        return NULL;
    }
    set_up_editing(e);
    catch_resize();
    if (e->history_file)
        history_load(e->history_file, enter, e);
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
    free(e->history_file);
    free(e->line);
    free(e->last);
    free(e);
}

/* ---- lines ---- */

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
    el_set(e->el, EL_PREP_TERM, 1); /* before the prompt: keys that are typed now are not lost */
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
