/* libedit, where GNU readline is not installed. It has no undo, and it takes pasted text for keys. */
#include <errno.h>
#include <histedit.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#include "base/utf8.h"
#include "command/console.h"
#include "command/editing.h"
#include "command/history.h"
#include "command/signals.h"

enum { REPLACEMENT_CHARACTER = 0xFFFD };

typedef struct libedit {
    line_editor *editor;
    EditLine *el;
    History *history;
    bool invalid; /* the present line has bytes that are not UTF-8 */
    int unread;   /* a byte that was read, and belongs to the next character; -1 = none */
} libedit;

static libedit *libedit_of(EditLine *el)
{
    void *e = NULL;
    el_get(el, EL_CLIENTDATA, &e);
    return e;
}

static char *prompt_of(EditLine *el)
{
    const line_editor *e = libedit_of(el)->editor;
    return (char *)(e->earlier.size == 0 ? e->request.first : e->request.more);
}

/* ---- characters ---- */

/* Reads a byte. Returns 1; 0 at the end of the input; -1 with errno when a signal has arrived or
 * the terminal is gone. */
static int read_byte(libedit *e, unsigned char *byte)
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
    libedit *e = libedit_of(el);
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

/* Inserts the beginning that all candidates share. When that adds nothing, shows them. */
static unsigned char take_candidates(libedit *e, candidates *c)
{
    if (c->all > 1 && c->common <= c->replaced) {
        editing_print_candidates(c);
        return CC_REDISPLAY;
    }
    c->list[0][c->common] = '\0';
    el_deletestr(e->el, (int)c->replaced);
    return el_insertstr(e->el, c->list[0]) == 0 ? CC_REFRESH : CC_ERROR;
}

/* TAB. At the beginning of a line it indents. */
static unsigned char on_tab(EditLine *el, int key)
{
    libedit *e = libedit_of(el);
    const LineInfo *line = el_line(el);
    size_t size = (size_t)(line->cursor - line->buffer);
    candidates found;
    unsigned char result;
    (void)key;
    if (strspn(line->buffer, " ") >= size)
        return el_insertstr(el, "  ") == 0 ? CC_REFRESH : CC_ERROR;
    if (!editing_candidates(e->editor, line->buffer, size, &found))
        return CC_REFRESH_BEEP;
    result = take_candidates(e, &found);
    editing_free_candidates(&found);
    return result;
}

/* ---- history ---- */

static void enter(line_editor *editor, const char *input)
{
    libedit *e = editor->own;
    HistEvent event;
    history(e->history, &event, H_ENTER, input);
}

static void each(line_editor *editor, void (*entry)(void *user, const char *input), void *user)
{
    libedit *e = editor->own;
    HistEvent event;
    for (int more = history(e->history, &event, H_LAST); more >= 0;
         more = history(e->history, &event, H_PREV))
        entry(user, event.str);
}

/* ---- lines ---- */

/* Puts the text into the line. libedit edits one line at a time: of several, all but the last one
 * have been read already. */
static void set_preset(libedit *e, const char *text)
{
    const char *newline = strrchr(text, '\n');
    if (newline && buffer_add(&e->editor->earlier, text, (size_t)(newline + 1 - text))) {
        console_show(stdout, text, (size_t)(newline + 1 - text), SHOWN_LINES);
        text = newline + 1;
    }
    el_push(e->el, text);
}

static line_editor_result read_line(line_editor *editor)
{
    libedit *e = editor->own;
    const char *typed;
    int count = 0;
    e->invalid = false;
    el_resize(e->el);
    if (editor->request.preset)
        set_preset(e, editor->request.preset);
    el_set(e->el, EL_PREP_TERM, 1); /* before the prompt: keys that are typed now are not lost */
    typed = el_gets(e->el, &count);
    if (!typed || count <= 0) {
        el_reset(e->el);
        if (signals_noted())
            return LINE_EDITOR_STOPPED;
        putchar('\n');
        return LINE_EDITOR_END;
    }
    if (e->invalid)
        return LINE_EDITOR_INVALID;
    count -= typed[count - 1] == '\n';
    return buffer_add(&editor->line, typed, (size_t)count) ? LINE_EDITOR_LINE : LINE_EDITOR_END;
}

/* ---- opening and closing ---- */

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

/* The user's ~/.editrc comes last, and so wins. */
static void set_up(libedit *e)
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
    el_source(e->el, NULL);
}

static void close_it(line_editor *editor)
{
    libedit *e = editor->own;
    if (e->el)
        el_end(e->el);
    if (e->history)
        history_end(e->history);
    free(e);
}

bool libedit_open(line_editor *editor)
{
    static const editing how = { read_line, enter, each, close_it };
    libedit *e = calloc(1, sizeof *e);
    if (!e)
        return false;
    e->editor = editor;
    e->unread = -1;
    e->history = history_init();
    e->el = e->history ? el_init("modalua", stdin, stdout, stderr) : NULL;
    if (e->el) {
        set_up(e);
        catch_resize();
        editor->how = &how;
    }
    editor->own = e;
    if (!editor->how)
        close_it(editor);
    return editor->how != NULL;
}
