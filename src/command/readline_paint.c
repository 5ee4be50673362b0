#include "command/readline_paint.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/shown.h"
#include "base/terminal.h"
#include "base/text_width.h"
#include "command/json_text.h"
#include "command/lua_colours.h"
#include "command/readline_layout.h"

/* Values of rl_readline_state (readline.h) */
#define STATE_NSEARCH 0x100UL /* the line is a text to search for */
#define STATE_NO_HINT \
    0x20F80UL /* a search, a numeric argument, a macro, a key that was read already */
#define STATE_DONE 0x2000000UL

enum { LEAST_WIDTH = 8, CODE_SIZE = 32 };

/* There is one readline in a process, and so one of each of these. */
static const readline_library *rl;
static line_editor *editor;
static bool is_paused;
static char *hint;         /* of the text before the cursor; NULL = none */
static buffer hinted;      /* that text */
static size_t hint_below;  /* rows from the cursor down to the hint; 0 = it is not shown */
static size_t hint_column; /* of the cursor at that time */

/* ---- what is written ---- */

/* Appends a control sequence with a number; 0 = it is not needed. */
static void add_move(buffer *b, size_t n, char direction)
{
    char code[CODE_SIZE];
    if (n > 0)
        buffer_add(b, code, (size_t)snprintf(code, sizeof code, "\033[%zu%c", n, direction));
}

/* Writes all of it at once. */
static void send(buffer *b)
{
    if (b->data) {
        fwrite(b->data, 1, b->size, stdout);
        fflush(stdout);
    }
    free(b->data);
}

/* ---- the places ---- */

/* Walks from the beginning of the prompt to the end of the line, or to `size` bytes of it. */
static readline_layout layout_behind(const char *text, size_t size, readline_layout from)
{
    for (size_t bytes; size > 0; text += bytes, size -= bytes) {
        bytes = readline_layout_reach(&from, text, size);
        readline_layout_pass(&from, text, size);
    }
    return from;
}

static const char *line(void)
{
    return *rl->rl_line_buffer;
}

static size_t line_size(void)
{
    return (size_t)*rl->rl_end;
}

/* The cursor, before a character of two columns that does not fit into the row: in the next row. */
static readline_layout cursor_layout(readline_layout start)
{
    size_t point = (size_t)*rl->rl_point;
    readline_layout l = layout_behind(line(), point, start);
    if (point < line_size())
        readline_layout_reach(&l, line() + point, line_size() - point);
    return l;
}

static bool is_variable(const char *name, const char *value)
{
    const char *found = rl->rl_variable_value(name);
    return found && strcmp(found, value) == 0;
}

/* The text that readline puts before the prompt for show-mode-in-prompt; "" = none. */
static const char *mode_text(void)
{
    const char *name = *rl->rl_editing_mode ? "emacs-mode-string"
                       : rl->rl_get_keymap() == rl->rl_get_keymap_by_name("vi-insert")
                           ? "vi-ins-mode-string"
                           : "vi-cmd-mode-string";
    const char *text = is_variable("show-mode-in-prompt", "on") ? rl->rl_variable_value(name) : "";
    /* While readline searches the history, or asks for an argument, it shows another string than the prompt. */
    return text && *rl->rl_display_prompt == *rl->rl_prompt ? text : "";
}

/* Walks over the prompt. What stands between the bytes 1 and 2 in the text for the mode takes no room. */
static readline_layout layout_of_prompt(readline_layout l)
{
    const char *prompt = *rl->rl_display_prompt;
    for (const char *end, *text = mode_text(); *text; text = *end ? end + 1 : end) {
        end = text + strcspn(text, "\001");
        l = layout_behind(text, (size_t)(end - text), l);
        end += strcspn(end, "\002");
    }
    return layout_behind(prompt, strlen(prompt), l);
}

/* Whether readline draws the line where the layout says, as far as can be seen. */
static bool is_certain(readline_layout cursor, readline_layout end)
{
    return rl->has_places && end.width >= LEAST_WIDTH && *rl->_rl_vis_botlin >= 0 &&
           (size_t)*rl->_rl_vis_botlin == end.row && (size_t)*rl->_rl_last_v_pos == cursor.row &&
           (size_t)*rl->_rl_last_c_pos == cursor.column &&
           end.row < terminal_height(STDOUT_FILENO) &&
           shown_harmless(line(), line_size(), SHOWN_LINES) == line_size() &&
           (*rl->rl_readline_version >= 0x802 || !memchr(line(), '\t', line_size())) &&
           is_variable("horizontal-scroll-mode", "off") && !is_variable("output-meta", "off");
}

/* ---- colours ---- */

static const char *const codes[LUA_COLOURS] = {
    [LUA_COLOUR_PLAIN] = "",     [LUA_COLOUR_KEYWORD] = ";35", [LUA_COLOUR_STRING] = ";32",
    [LUA_COLOUR_NUMBER] = ";36", [LUA_COLOUR_COMMENT] = ";2",  [LUA_COLOUR_GLOBAL] = ";1",
    [LUA_COLOUR_WRONG] = ";31",
};

/* Sets colours for the bytes of the line, which is a part of the input; else all stay plain. */
static unsigned char *find_colours(void)
{
    buffer input = { 0 };
    size_t before = editor->earlier.size;
    unsigned char *colours = calloc(1, before + line_size() + 1);
    if (colours && !(*rl->rl_readline_state & STATE_NSEARCH) &&
        buffer_add(&input, editor->earlier.data, before) && buffer_add(&input, line(), line_size()))
        lua_colours_find(input.data, input.size, colours);
    free(input.data);
    if (colours)
        memmove(colours, colours + before, line_size() + 1);
    return colours;
}

/* Whether the byte is in the region that readline shows reversed, such as the hit of a search. */
static bool is_in_region(size_t at)
{
    size_t mark = (size_t)*rl->rl_mark, point = (size_t)*rl->rl_point;
    return rl->rl_mark_active_p && rl->rl_mark_active_p() &&
           ((mark <= at && at < point) || (point <= at && at < mark));
}

/* What is written, and where that leaves the cursor. */
typedef struct pen {
    buffer text;
    size_t row, column;
    int style; /* of what is written next; -1 = not known */
} pen;

/* Moves down or to the right. Behind the last character of a full row the cursor's column is not known. */
static void pen_go(pen *p, size_t row, size_t column)
{
    for (; p->row < row; p->row++, p->column = 0)
        buffer_add(&p->text, "\r\n", 2);
    add_move(&p->text, column - p->column, 'C');
    p->column = column;
}

static void pen_set_style(pen *p, unsigned char colour, bool reversed)
{
    char code[CODE_SIZE];
    int style = colour * 2 + reversed;
    if (p->style != style)
        buffer_add(&p->text, code,
                   (size_t)snprintf(code, sizeof code, "\033[0%s%sm", codes[colour],
                                    reversed ? ";7" : ""));
    p->style = style;
}

/* Writes the character at `at` of the line, which is `bytes` long, and stands where the layout says. TABs and
 * newlines are blank already. */
static void pen_write(pen *p, const readline_layout *l, size_t at, size_t bytes,
                      unsigned char colour)
{
    const char *text = line() + at;
    size_t columns;
    if (text[0] == '\t' || text[0] == '\n')
        return;
    text_width_character(text, bytes, &columns);
    if (columns > 0) /* a combining mark stands where the cursor is */
        pen_go(p, l->row, l->column);
    pen_set_style(p, colour, is_in_region(at));
    buffer_add(&p->text, text, bytes);
    p->column += columns;
}

static void pen_write_line(pen *p, readline_layout l, const unsigned char *colours)
{
    for (size_t i = 0, bytes; i < line_size(); i += bytes) {
        bytes = readline_layout_reach(&l, line() + i, line_size() - i);
        pen_write(p, &l, i, bytes, colours[i]);
        readline_layout_pass(&l, line() + i, line_size() - i);
    }
    buffer_add(&p->text, "\033[0m", 4);
}

/* ---- the hint ---- */

/* Asks for the hint, unless the text before the cursor is the same as the last time. */
static void find_hint(void)
{
    buffer before = { 0 };
    const char *json;
    if (!buffer_add(&before, editor->earlier.data, editor->earlier.size) ||
        !buffer_add(&before, line(), (size_t)*rl->rl_point))
        before.size = 0;
    if (before.data && hinted.data && strcmp(before.data, hinted.data) == 0) {
        free(before.data);
        return;
    }
    free(hinted.data);
    free(hint);
    hinted = before;
    json = before.size > 0 ? editor->hint(editor->user, before.data, before.size) : NULL;
    hint = json ? json_text_next_string(&json) : NULL;
}

/* Writes the hint into the row below the line, if the terminal has one. */
static void pen_write_hint(pen *p, readline_layout end)
{
    size_t fitting, size;
    if ((*rl->rl_readline_state & STATE_NO_HINT) || end.row + 1 >= terminal_height(STDOUT_FILENO))
        return;
    find_hint();
    if (!hint || !hint[0])
        return;
    size = strlen(hint);
    fitting = text_width_fitting(hint, size, end.width - 1);
    if (fitting < size)
        fitting = text_width_fitting(hint, size, end.width - 2);
    for (; p->row <= end.row; p->row++)
        buffer_add(&p->text, "\r\n", 2);
    buffer_add(&p->text, "\033[2m", 4);
    buffer_add_shown(&p->text, hint, fitting, SHOWN_LINE);
    if (fitting < size)
        buffer_add(&p->text, "…", strlen("…"));
    buffer_add(&p->text, "\033[0m\033[K", 7);
}

void readline_paint_remove_hint(void)
{
    buffer b = { 0 };
    if (hint_below == 0)
        return;
    add_move(&b, hint_below, 'B');
    buffer_add(&b, "\r\033[K", 4);
    add_move(&b, hint_below, 'A');
    add_move(&b, hint_column, 'C');
    hint_below = 0;
    send(&b);
}

void readline_paint_go_to_end(const readline_library *library)
{
    readline_paint_remove_hint();
    *library->rl_point = *library->rl_end;
    library->rl_redisplay();
}

void readline_paint_pause(bool paused)
{
    readline_paint_remove_hint();
    is_paused = paused;
}

/* ---- all of it ---- */

static void paint(void)
{
    readline_layout l = { .width = terminal_width(STDOUT_FILENO) }, cursor, end;
    unsigned char *colours;
    pen p = { .style = -1 };
    if (!*rl->rl_display_prompt || l.width < LEAST_WIDTH || (*rl->rl_readline_state & STATE_DONE))
        return;
    l = layout_of_prompt(l);
    cursor = cursor_layout(l);
    end = layout_behind(line(), line_size(), l);
    colours = is_certain(cursor, end) ? find_colours() : NULL;
    if (!colours)
        return;
    add_move(&p.text, cursor.row, 'A');
    buffer_add(&p.text, "\r", 1);
    pen_write_line(&p, l, colours);
    free(colours);
    pen_write_hint(&p, end);
    if (p.row > end.row) {
        hint_below = p.row - cursor.row;
        hint_column = cursor.column;
    }
    if (p.row < cursor.row) /* the last row has no character */
        pen_go(&p, cursor.row, 0);
    add_move(&p.text, p.row - cursor.row, 'A');
    buffer_add(&p.text, "\r", 1);
    add_move(&p.text, cursor.column, 'C');
    send(&p.text);
}

/* Whether more has been typed than was read, as when a text is pasted into a terminal that does not mark it. The
 * line is drawn again at once, so its colours would only take time. */
static bool more_is_typed(void)
{
    struct pollfd in = { STDIN_FILENO, POLLIN, 0 };
    return poll(&in, 1, 0) > 0;
}

/* Takes the place of readline's own function. */
static void redisplay(void)
{
    readline_paint_remove_hint();
    rl->rl_redisplay();
    if (!is_paused && !more_is_typed())
        paint();
}

void readline_paint_resize(void (*handle)(void))
{
    if (hint_below > 0)
        fputs("\033[J", stdout);
    hint_below = 0;
    fflush(stdout);
    if (rl)
        *rl->rl_redisplay_function = rl->rl_redisplay;
    handle();
    if (!rl)
        return;
    *rl->rl_redisplay_function = redisplay;
    redisplay();
}

void readline_paint_open(const readline_library *library, line_editor *e)
{
    if (!terminal_wants_colour() || !library->has_places)
        return;
    rl = library;
    editor = e;
    *rl->rl_redisplay_function = redisplay;
}

void readline_paint_close(void)
{
    free(hint);
    free(hinted.data);
    hint = NULL;
    hinted = (buffer){ 0 };
}
