/* command/line_editor.h - lines from a terminal, edited by libedit: history, TAB, letters in any script. */
#ifndef COMMAND_LINE_EDITOR_H
#define COMMAND_LINE_EDITOR_H

#include <stdbool.h>
#include <stddef.h>

typedef struct edit edit;

/* What may stand at the end of the text: a JSON array of how many bytes of it each candidate
 * replaces, and the candidates; valid until the next call. NULL: nothing. */
typedef const char *(*edit_complete_fn)(void *user, const char *before, size_t size);

typedef enum edit_result {
    EDIT_LINE,
    EDIT_END,     /* of the input: Ctrl-D, or the terminal is gone */
    EDIT_STOPPED, /* a signal has come (signals.h): the line is dropped */
    EDIT_INVALID  /* the line is not UTF-8 */
} edit_result;

/* Makes an editor of standard input and output, which are a terminal, and reads the history (path
 * NULL: none is kept on disk; else copied). Sets LC_CTYPE of the process to one of UTF-8. NULL: the
 * terminal cannot be edited on, or no memory. */
edit *edit_open(const char *history, edit_complete_fn complete, void *user);
void edit_close(edit *e);

/* Reads a line. `earlier` are the lines of the same input so far, for completion ("" for a first
 * one). *line has no newline at its end, and is valid until the next call. Blocks. */
edit_result edit_read(edit *e, const char *prompt, const char *earlier, const char **line);

/* Notes a whole input in the history, and, once it is clear that the file cannot be written, says
 * so. */
void edit_remember(edit *e, const char *input);

/* Calls `entry` for each input, the oldest first. */
void edit_each(edit *e, void (*entry)(void *user, const char *input), void *user);

#endif
