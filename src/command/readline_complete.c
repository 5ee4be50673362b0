#include "command/readline_complete.h"

#include <stdlib.h>
#include <string.h>

#include "command/editing.h"
#include "command/readline_paint.h"
#include "command/readline_rows.h"

static const readline_library *rl;
static line_editor *editor; /* of the present prompt */
static size_t before_word;  /* the bytes of the line before the word that is completed */

/* The line up to the cursor with this candidate at its end; NULL: no memory. */
static char *line_with(const char *candidate, size_t size)
{
    char *text = malloc(before_word + size + 1);
    if (!text)
        return NULL;
    memcpy(text, *rl->rl_line_buffer, before_word);
    memcpy(text + before_word, candidate, size);
    text[before_word + size] = '\0';
    return text;
}

/* For readline the word is all of the line before the cursor, so that ours can begin anywhere. The
 * first match is what all share. readline frees them. */
static char **on_complete(const char *word, int start, int end)
{
    candidates c;
    char **matches;
    size_t n = 0;
    (void)word;
    (void)start;
    *rl->rl_attempted_completion_over = 1;
    *rl->rl_completion_append_character = '\0';
    if (!editing_candidates(editor, *rl->rl_line_buffer, (size_t)end, &c))
        return NULL;
    before_word = (size_t)end - c.replaced;
    matches = calloc(c.count + 2, sizeof *matches);
    if (matches && c.common >= c.replaced)
        matches[n] = line_with(c.list[0], c.common);
    else if (matches)
        matches[n] = line_with(*rl->rl_line_buffer + before_word, c.replaced);
    for (size_t i = 0; matches && matches[n] && c.count > 1 && i < c.count; i++)
        matches[++n] = line_with(c.list[i], strlen(c.list[i]));
    editing_free_candidates(&c);
    return matches;
}

/* Called with the matches that on_complete has made. */
static void on_display(char **matches, int count, int longest)
{
    candidates c = { .all = (size_t)count };
    int at = *rl->rl_point;
    (void)longest;
    for (; c.count < c.all && c.count < CANDIDATES_MAX; c.count++)
        c.list[c.count] = matches[c.count + 1] + before_word;
    readline_paint_go_to_end(rl);
    editing_print_candidates(&c);
    *rl->rl_point = at;
    rl->rl_forced_update_display();
}

int readline_complete_tab(int count, int key)
{
    size_t begin = readline_rows_begin(rl);
    if (strspn(*rl->rl_line_buffer + begin, " \t") >= (size_t)*rl->rl_point - begin) {
        rl->rl_insert_text("  ");
        return 0;
    }
    if (*rl->rl_last_func == readline_complete_tab)
        *rl->rl_last_func = rl->rl_complete;
    return rl->rl_complete(count, key);
}

void readline_complete_open(const readline_library *library, line_editor *e)
{
    rl = library;
    editor = e;
    *rl->rl_completer_word_break_characters = "";
    *rl->rl_attempted_completion_function = on_complete;
    *rl->rl_completion_display_matches_hook = on_display;
}
