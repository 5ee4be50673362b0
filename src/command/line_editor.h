/* command/line_editor.h - reads lines from a terminal. The user edits them with libedit: history,
 * completion at TAB, characters of any script. */
#ifndef COMMAND_LINE_EDITOR_H
#define COMMAND_LINE_EDITOR_H

#include <stdbool.h>
#include <stddef.h>

typedef struct line_editor line_editor;

/* Completes the text before the cursor. Returns a JSON array: the number of bytes before the cursor
 * that each candidate replaces, then the candidates. It is valid until the next call. NULL: there
 * are no candidates. */
typedef const char *(*line_editor_complete_fn)(void *user, const char *before, size_t size);

typedef enum line_editor_result {
    LINE_EDITOR_LINE,
    LINE_EDITOR_END,     /* end of the input: Ctrl-D, or the terminal is gone */
    LINE_EDITOR_STOPPED, /* a signal has arrived (signals.h): the line is dropped */
    LINE_EDITOR_INVALID  /* the line is not UTF-8 */
} line_editor_result;

/* Makes an editor of standard input and output, which must be a terminal, and reads the history
 * file. history_file is copied; NULL: the history is not saved. Sets LC_CTYPE of the process to a
 * UTF-8 locale. The caller closes the editor. NULL: the terminal cannot be edited on, or no memory.
 */
line_editor *line_editor_open(const char *history_file, line_editor_complete_fn complete,
                              void *user);

/* NULL is fine. */
void line_editor_close(line_editor *e);

/* Reads a line. `earlier` holds the earlier lines of the same input, for completion; "" when this
 * is the first line. *line has no newline at its end, and is valid until the next call. Blocks. */
line_editor_result line_editor_read(line_editor *e, const char *prompt, const char *earlier,
                                    const char **line);

/* Adds an input, which may have several lines, to the history. When the history file cannot be
 * written, says so on standard error, once. */
void line_editor_remember(line_editor *e, const char *input);

/* Calls `entry` for each input of the history, the oldest first. */
void line_editor_each(line_editor *e, void (*entry)(void *user, const char *input), void *user);

#endif
