#include "command/readline_rows.h"

#include <string.h>

#include "base/text_width.h"

static size_t begin_of(const readline_library *rl, size_t at)
{
    while (at > 0 && (*rl->rl_line_buffer)[at - 1] != '\n')
        at--;
    return at;
}

static size_t end_of(const readline_library *rl, size_t at)
{
    return at + strcspn(*rl->rl_line_buffer + at, "\n");
}

size_t readline_rows_begin(const readline_library *rl)
{
    return begin_of(rl, (size_t)*rl->rl_point);
}

void readline_rows_home(const readline_library *rl)
{
    int begin = (int)readline_rows_begin(rl);
    *rl->rl_point = begin == *rl->rl_point ? 0 : begin;
}

void readline_rows_end(const readline_library *rl)
{
    int end = (int)end_of(rl, (size_t)*rl->rl_point);
    *rl->rl_point = end == *rl->rl_point ? *rl->rl_end : end;
}

/* Moves the cursor to the row that begins there, into the same column. */
static void go_to(const readline_library *rl, size_t begin)
{
    const char *line = *rl->rl_line_buffer;
    size_t own = readline_rows_begin(rl);
    size_t column = text_width_columns(line + own, (size_t)*rl->rl_point - own);
    *rl->rl_point =
        (int)(begin + text_width_fitting(line + begin, end_of(rl, begin) - begin, column));
}

bool readline_rows_up(const readline_library *rl)
{
    size_t begin = readline_rows_begin(rl);
    if (begin > 0)
        go_to(rl, begin_of(rl, begin - 1));
    return begin > 0;
}

bool readline_rows_down(const readline_library *rl)
{
    size_t end = end_of(rl, (size_t)*rl->rl_point);
    if (end < (size_t)*rl->rl_end)
        go_to(rl, end + 1);
    return end < (size_t)*rl->rl_end;
}
