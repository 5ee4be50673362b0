/* GNU readline. It is one per process, so what it needs between two calls is in static variables. */
#include <errno.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/terminal.h"
#include "base/text_width.h"
#include "base/utf8.h"
#include "command/console.h"
#include "command/editing.h"
#include "command/readline_complete.h"
#include "command/readline_keys.h"
#include "command/readline_library.h"
#include "command/readline_paint.h"
#include "command/readline_rows.h"
#include "command/signals.h"
#include "command/text_editor.h"

static readline_library rl;
static line_editor *editor; /* of the present prompt */
static bool line_is_over;   /* on_line was called */
static bool input_is_over;  /* … at the end of the input */
static bool is_at_end;      /* a signal ends the line, and the cursor stands behind the text */
static bool is_invalid;     /* the present line had bytes that are not UTF-8, or NUL */
static utf8_stream typed;   /* what is typed, to see whether it is UTF-8 */
static bool is_tall_entry;  /* the earlier lines are the beginning of an entry of the history */
/* A search of the history: the prefix, the entry that it found, and the line as it stood then. */
static char *sought, *hit, *hit_line;

/* Calls a function of readline that sets LC_CTYPE to what the environment says, which need not be
 * UTF-8 (line_editor_open has chosen the locale of the process). */
static void in_our_locale(void (*function)(void))
{
    const char *found = getenv("LC_ALL"), *chosen = setlocale(LC_CTYPE, NULL);
    char *before = found ? strdup(found) : NULL;
    bool differs = strcmp(chosen, "C.UTF-8") == 0;
    if (differs)
        setenv("LC_ALL", chosen, 1);
    function();
    if (differs && before)
        setenv("LC_ALL", before, 1);
    else if (differs)
        unsetenv("LC_ALL");
    free(before);
}

/* ---- the line ---- */

static size_t point(void)
{
    return (size_t)*rl.rl_point;
}

static size_t line_size(void)
{
    return (size_t)*rl.rl_end;
}

static const char *line(void)
{
    return *rl.rl_line_buffer;
}

static const char *prompt(void)
{
    return editor->earlier.size == 0 ? editor->request.first : editor->request.more;
}

/* Replaces the text; undo brings the old one back. */
static void edit_line(const char *text)
{
    rl.rl_begin_undo_group();
    rl.rl_delete_text(0, *rl.rl_end);
    *rl.rl_point = 0;
    rl.rl_insert_text(text);
    rl.rl_end_undo_group();
}

/* Replaces the text, and forgets how it was changed. */
static void set_line(const char *text)
{
    rl.rl_replace_line(text, 1);
    *rl.rl_point = *rl.rl_end;
}

/* Reads a byte. readline drops bytes that are not UTF-8 without a word: the line that runs would then
 * not be the line that was typed. */
static int read_byte(FILE *from)
{
    int byte = rl.rl_getc(from);
    readline_paint_remove_hint(); /* what the key does may end the line */
    if (byte >= 0 && !utf8_stream_add(&typed, (char)byte))
        is_invalid = true;
    return byte;
}

/* ---- moving in a text of several rows ---- */

static int on_home(int count, int key)
{
    (void)count;
    (void)key;
    readline_rows_home(&rl);
    return 0;
}

static int on_end(int count, int key)
{
    (void)count;
    (void)key;
    readline_rows_end(&rl);
    return 0;
}

/* A newline that does not end the input. */
static int on_newline(int count, int key)
{
    (void)count;
    (void)key;
    rl.rl_insert_text("\n");
    return 0; /* readline takes another result of a key of several bytes for the end of the input */
}

/* ---- the lines before this one ---- */

/* The rows of the terminal that a text takes when each of its lines stands behind a prompt. */
static size_t rows_of(const char *text, size_t width)
{
    size_t rows = 0, prompt_width = strlen(editor->request.more);
    for (const char *end; *text; text = *end ? end + 1 : end) {
        end = text + strcspn(text, "\n");
        rows += 1 + (prompt_width + text_width_columns(text, (size_t)(end - text))) / width;
    }
    return rows;
}

static bool is_tall(const char *text)
{
    return rows_of(text, terminal_width(STDOUT_FILENO)) + 1 >= terminal_height(STDOUT_FILENO);
}

/* Moves the terminal's cursor to the beginning of the present line and so many rows up, and clears
 * the terminal from there. */
static void clear_rows(size_t rows)
{
    readline_paint_remove_hint();
    *rl.rl_point = 0;
    rl.rl_redisplay();
    if (rows > 0)
        printf("\033[%zuA", rows);
    fputs("\r\033[J", stdout);
    fflush(stdout);
}

static void draw_again(void)
{
    *rl.rl_point = *rl.rl_end;
    rl.rl_set_prompt(prompt());
    rl.rl_forced_update_display();
}

/* Makes the earlier lines of this input, and this one, one text. False: there are none, or no memory. */
static bool join_earlier(void)
{
    buffer *earlier = &editor->earlier;
    if (earlier->size == 0 || !buffer_add(earlier, line(), line_size()))
        return false;
    set_line(earlier->data);
    earlier->size = 0;
    return true;
}

/* The same, so that the user can edit it. False also: it is too tall. */
static bool take_earlier(void)
{
    const buffer *earlier = &editor->earlier;
    size_t rows = rows_of(earlier->data, terminal_width(STDOUT_FILENO));
    if (earlier->size == 0 || rows + 1 >= terminal_height(STDOUT_FILENO))
        return false;
    clear_rows(rows);
    if (!join_earlier())
        return false;
    draw_again();
    return true;
}

/* readline cannot draw a text that is taller than the terminal: all lines but the last one become
 * earlier lines. */
static bool split_tall_line(void)
{
    char *text = strdup(line()), *last = text ? strrchr(text, '\n') : NULL;
    if (!last || !is_tall(text)) {
        free(text);
        return false;
    }
    clear_rows(0);
    *last++ = '\0';
    for (char *next, *at = text; at; at = next) {
        next = strchr(at, '\n');
        if (next)
            *next++ = '\0';
        fputs(prompt(), stdout);
        console_show(stdout, at, strlen(at), SHOWN_LINES);
        fputc('\n', stdout);
        buffer_add(&editor->earlier, at, strlen(at));
        buffer_add(&editor->earlier, "\n", 1);
    }
    fflush(stdout);
    set_line(last);
    draw_again();
    free(text);
    return true;
}

/* ---- history ---- */

/* The entry at that place; NULL: there is none. */
static const char *entry_at(int place, int length)
{
    return place >= 0 && place < length ? rl.history_list()[place]->line : NULL;
}

static int history_size(void)
{
    readline_entry **list = rl.history_list();
    int length = 0;
    while (list && list[length])
        length++;
    return length;
}

static void set_text(char **text, const char *to)
{
    free(*text);
    *text = to ? strdup(to) : NULL;
}

/* Goes to the next entry, earlier (-1) or later (1), that begins as the text before the cursor did
 * when the search began. A line that has been changed since begins another search. */
static int search_history(int direction)
{
    int length = history_size(), here = rl.where_history(), place = here + direction;
    const char *entry;
    if (!hit_line || strcmp(hit_line, line()) != 0) {
        set_text(&sought, line());
        if (sought)
            sought[point()] = '\0';
    }
    while (sought && (entry = entry_at(place, length)) &&
           (strncmp(entry, sought, strlen(sought)) != 0 ||
            strcmp(entry, is_tall_entry && hit ? hit : line()) == 0))
        place += direction;
    if (place < 0 || place > length || !sought)
        return rl.rl_ding();
    if (is_tall_entry && join_earlier())
        rl.rl_set_prompt(prompt());
    if (direction < 0)
        rl.rl_get_previous_history(here - place, 0);
    else
        rl.rl_get_next_history(place - here, 0);
    set_text(&hit, line());
    is_tall_entry = split_tall_line();
    set_text(&hit_line, line());
    return 0;
}

static int on_page_up(int count, int key)
{
    (void)count;
    (void)key;
    return search_history(-1);
}

static int on_page_down(int count, int key)
{
    (void)count;
    (void)key;
    return search_history(1);
}

static int on_up(int count, int key)
{
    (void)count;
    (void)key;
    if (readline_rows_up(&rl) ||
        (rl.where_history() == history_size() && take_earlier() && (readline_rows_up(&rl), true)))
        return 0;
    return search_history(-1);
}

static int on_down(int count, int key)
{
    (void)count;
    (void)key;
    return readline_rows_down(&rl) ? 0 : search_history(1);
}

static void enter(line_editor *e, const char *input)
{
    (void)e;
    rl.add_history(input);
}

static void each(line_editor *e, void (*entry)(void *user, const char *input), void *user)
{
    readline_entry **list = rl.history_list();
    (void)e;
    for (; list && *list; list++)
        entry(user, (*list)->line);
}

/* ---- pasted text, and $EDITOR ---- */

/* Reads what is pasted, up to the sequence that ends it. Line ends become newlines. */
static void read_paste(buffer *text)
{
    static const char end[] = "\033[201~";
    const size_t end_size = sizeof end - 1;
    bool after_cr = false;
    for (int c; (c = rl.rl_read_key()) >= 0;) {
        char byte = c == '\r' ? '\n' : (char)c;
        is_invalid = is_invalid || c == 0;
        if (!(c == '\n' && after_cr))
            buffer_add(text, &byte, 1);
        after_cr = c == '\r';
        if (text->size >= end_size &&
            memcmp(text->data + text->size - end_size, end, end_size) == 0) {
            text->data[text->size -= end_size] = '\0';
            return;
        }
    }
}

/* What is pasted is text, whatever keys it looks like. */
static int on_paste(int count, int key)
{
    buffer text = { 0 };
    (void)count;
    (void)key;
    read_paste(&text);
    if (text.data)
        rl.rl_insert_text(text.data);
    free(text.data);
    if (point() == line_size())
        split_tall_line();
    return 0;
}

/* Ctrl-X Ctrl-E: the whole input into the user's editor. */
static int on_edit(int count, int key)
{
    buffer text = { 0 }, edited = { 0 };
    (void)count;
    (void)key;
    buffer_add(&text, editor->earlier.data, editor->earlier.size);
    if (!buffer_add(&text, line(), line_size()))
        return rl.rl_ding();
    readline_paint_go_to_end(&rl);
    fputc('\n', stdout);
    fflush(stdout);
    (*rl.rl_deprep_term_function)();
    if (text_editor_run(text.data, &edited)) {
        editor->earlier.size = 0;
        edit_line(edited.data);
    }
    (*rl.rl_prep_term_function)(1);
    draw_again();
    split_tall_line();
    free(text.data);
    free(edited.data);
    return 0;
}

static const struct function {
    const char *name; /* in the user's inputrc too */
    readline_command *function;
} functions[] = {
    { "modalua-complete", readline_complete_tab },
    { "modalua-up", on_up },
    { "modalua-down", on_down },
    { "modalua-page-up", on_page_up },
    { "modalua-page-down", on_page_down },
    { "modalua-home", on_home },
    { "modalua-end", on_end },
    { "modalua-newline", on_newline },
    { "modalua-paste", on_paste },
    { "modalua-edit", on_edit },
};

/* ---- lines ---- */

/* Called by readline when the user has ended the line. NULL: the end of the input. */
static void on_line(char *text)
{
    rl.rl_callback_handler_remove(); /* the terminal is as it was before */
    line_is_over = true;
    input_is_over = !text || !buffer_add(&editor->line, text, strlen(text));
    free(text);
}

/* readline draws the line anew in a window of another size. After a signal that ends the line it knows no
 * longer in which row its cursor is. */
static void handle_signal(void)
{
    int signal = rl.rl_pending_signal();
    if (signal == SIGWINCH) {
        readline_paint_resize(rl.rl_check_signals);
        return;
    }
    if (signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU) {
        readline_paint_remove_hint();
        rl.rl_check_signals(); /* returns when the user has come back */
        rl.rl_forced_update_display();
        return;
    }
    if (signal != 0) {
        readline_paint_pause(true);
        readline_paint_go_to_end(&rl);
        is_at_end = true;
    }
    rl.rl_check_signals();
}

/* Waits for a key, and handles signals. False: a signal ends the line. */
static bool wait_for_key(void)
{
    static const int numbers[] = { SIGINT, SIGTERM, SIGHUP, SIGWINCH, SIGTSTP, SIGTTIN, SIGTTOU };
    struct pollfd in = { STDIN_FILENO, POLLIN, 0 };
    for (;;) {
        sigset_t blocked, before;
        int ready = 0;
        sigemptyset(&blocked);
        for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
            sigaddset(&blocked, numbers[i]);
        sigprocmask(SIG_BLOCK, &blocked, &before);
        if (!signals_noted() && rl.rl_pending_signal() == 0)
            ready = ppoll(&in, 1, NULL, &before);
        sigprocmask(SIG_SETMASK, &before, NULL);
        handle_signal();
        if (signals_noted())
            return false;
        if (ready > 0 || (ready < 0 && errno != EINTR))
            return true;
    }
}

static void install(void)
{
    rl.rl_callback_handler_install(prompt(), on_line);
}

static void begin_line(void)
{
    line_is_over = is_invalid = is_tall_entry = is_at_end = false;
    *rl.rl_eof_found = 0; /* else each line is followed by an empty row, once Ctrl-D was typed */
    readline_paint_pause(false);
    typed.size = 0;
    set_text(&hit_line, NULL);
    in_our_locale(install);
    if (editor->request.preset) {
        rl.rl_insert_text(editor->request.preset);
        (*rl.rl_redisplay_function)();
        split_tall_line();
    }
}

static void end_line(void)
{
    if (!is_at_end)
        readline_paint_go_to_end(&rl);
    rl.rl_callback_sigcleanup();
    rl.rl_callback_handler_remove();
}

/* At the end of the input, readline 8.2 begins a new row when it has asked for pasted text to be marked. */
static void end_input(void)
{
    const char *marks = rl.rl_variable_value("enable-bracketed-paste");
    if (*rl.rl_readline_version < 0x802 || !marks || strcmp(marks, "on") != 0)
        putchar('\n');
}

static line_editor_result read_line(line_editor *e)
{
    (void)e;
    begin_line();
    while (!line_is_over) {
        if (!wait_for_key()) {
            end_line();
            return LINE_EDITOR_STOPPED;
        }
        rl.rl_callback_read_char();
    }
    if (input_is_over)
        end_input();
    return input_is_over ? LINE_EDITOR_END : is_invalid ? LINE_EDITOR_INVALID : LINE_EDITOR_LINE;
}

/* ---- opening and closing ---- */

static void close_it(line_editor *e)
{
    (void)e;
    set_text(&sought, NULL);
    set_text(&hit, NULL);
    set_text(&hit_line, NULL);
    readline_paint_close();
    rl.clear_history();
}

static void initialize(void)
{
    rl.rl_initialize();
}

/* What the user's inputrc can change comes before rl_initialize, which reads it. */
static void set_up(void)
{
    *rl.rl_readline_name = "modalua";
    *rl.rl_change_environment = 0;
    *rl.rl_persistent_signal_handlers = 1;
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++)
        rl.rl_add_defun(functions[i].name, functions[i].function, -1);
    readline_keys_bind(&rl);
    rl.rl_variable_bind("show-all-if-unmodified", "on");
    rl.rl_variable_bind("revert-all-at-newline", "on");
    in_our_locale(initialize);
    *rl.rl_getc_function = read_byte;
    readline_complete_open(&rl, editor);
    readline_paint_open(&rl, editor);
}

bool readline_open(line_editor *e)
{
    static const editing how = { read_line, enter, each, close_it };
    if (!readline_library_load(&rl))
        return false;
    editor = e;
    e->how = &how;
    set_up();
    return true;
}
