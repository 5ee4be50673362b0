/* command/line_editor.h - lines from a terminal, edited by libedit: history, TAB, letters in any script. */
#ifndef COMMAND_LINE_EDITOR_H
#define COMMAND_LINE_EDITOR_H

#include <stdbool.h>
#include <stddef.h>

typedef struct line_editor line_editor;

/* What may stand at the end of the text: a JSON array of how many bytes of it each candidate
 * replaces, and the candidates; valid until the next call. NULL: nothing. */
typedef const char *(*line_editor_complete_fn)(void *user, const char *before, size_t size);

typedef enum line_editor_result {
    LINE_EDITOR_LINE,
    LINE_EDITOR_END,     /* of the input: Ctrl-D, or the terminal is gone */
    LINE_EDITOR_STOPPED, /* a signal has come (signals.h): the line is dropped */
    LINE_EDITOR_INVALID  /* the line is not UTF-8 */
} line_editor_result;

/* Makes an editor of standard input and output, which are a terminal, and reads the history (path
 * NULL: none is kept on disk; else copied). Sets LC_CTYPE of the process to one of UTF-8. NULL: the
 * terminal cannot be edited on, or no memory. */
line_editor *line_editor_open(const char *history, line_editor_complete_fn complete, void *user);
void line_editor_close(line_editor *e);

/* Reads a line. `earlier` are the lines of the same input so far, for completion ("" for a first
 * one). *line has no newline at its end, and is valid until the next call. Blocks. */
line_editor_result line_editor_read(line_editor *e, const char *prompt, const char *earlier,
                                    const char **line);

/* Notes a whole input in the history, and, once it is clear that the file cannot be written, says
 * so. */
void line_editor_remember(line_editor *e, const char *input);

/* Calls `entry` for each input, the oldest first. */
void line_editor_each(line_editor *e, void (*entry)(void *user, const char *input), void *user);

#endif
