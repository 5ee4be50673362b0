/* command/line_editor.h - reads inputs from a terminal: history, completion at TAB, characters of any
 * script, pasted text as one input. GNU readline edits the lines when it is installed; else
 * libedit, which is a part of the command. */
#ifndef COMMAND_LINE_EDITOR_H
#define COMMAND_LINE_EDITOR_H

#include <stdbool.h>
#include <stddef.h>

typedef struct line_editor line_editor;

/* Completes the text before the cursor. Returns a JSON array: the number of bytes before the cursor
 * that each candidate replaces, then the candidates. It is valid until the next call. NULL: there
 * are no candidates. */
typedef const char *(*line_editor_complete_fn)(void *user, const char *before, size_t size);

/* What to show below a line while it is typed, with the cursor behind `before`. Returns a JSON string, valid
 * until the next call, or NULL. It is called at each key, and must be fast. */
typedef const char *(*line_editor_hint_fn)(void *user, const char *before, size_t size);

typedef enum line_editor_result {
    LINE_EDITOR_LINE,
    LINE_EDITOR_END, /* end of the input: Ctrl-D, or the terminal is gone. The cursor is in a new row */
    LINE_EDITOR_STOPPED, /* a signal has arrived (signals.h): the line is dropped */
    LINE_EDITOR_INVALID  /* the line is not UTF-8 */
} line_editor_result;

/* An input that is to be read. */
typedef struct line_request {
    const char *first, *more; /* the prompts of the first line and of the others */
    const char *earlier;      /* the lines of the same input that have been read already, each with
                                 its newline; "" when this is the first one */
    const char *preset;       /* the text that the user finds in the line; NULL = none */
} line_request;

/* Makes an editor of standard input and output, which must be a terminal, and reads the history
 * file. history_file is copied; NULL: the history is not saved. Sets LC_CTYPE of the process to a
 * UTF-8 locale. There can be one editor at a time. The caller closes it. NULL: the terminal cannot be
 * edited on, or no memory. */
line_editor *line_editor_open(const char *history_file, line_editor_complete_fn complete,
                              line_editor_hint_fn hint, void *user);

/* NULL is fine. */
void line_editor_close(line_editor *e);

/* Reads a line. *input is the whole input so far: `earlier` and the line, which itself can have several
 * lines. The user may have changed the earlier lines too. It has no newline at its end, and is
 * valid until the next call. Blocks. */
line_editor_result line_editor_read(line_editor *e, const line_request *request,
                                    const char **input);

/* Adds an input, which may have several lines, to the history. When the history file cannot be
 * written, says so on standard error, once. */
void line_editor_remember(line_editor *e, const char *input);

/* Calls `entry` for each input of the history, the oldest first. */
void line_editor_each(line_editor *e, void (*entry)(void *user, const char *input), void *user);

#endif
