#include "command/readline_layout.h"

#include <stdbool.h>

#include "base/text_width.h"

enum { TAB_STOPS = 8 };

static bool is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7F;
}

/* Goes on by so many columns. */
static void go_on(readline_layout *l, size_t columns)
{
    l->column += columns;
    l->row += l->column / l->width;
    l->column %= l->width;
}

size_t readline_layout_reach(readline_layout *l, const char *text, size_t size)
{
    size_t columns, bytes = text_width_character(text, size, &columns);
    if (!is_control(text[0]) && l->column + columns > l->width)
        go_on(l, l->width - l->column);
    return bytes;
}

void readline_layout_pass(readline_layout *l, const char *text, size_t size)
{
    size_t columns;
    text_width_character(text, size, &columns);
    if (text[0] == '\n') {
        l->row++;
        l->column = 0;
    } else if (text[0] == '\t') {
        go_on(l, TAB_STOPS - l->column % TAB_STOPS);
    } else {
        go_on(l, is_control(text[0]) ? 2 : columns); /* ^X */
    }
}
