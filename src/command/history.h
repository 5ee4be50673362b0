/* command/history.h - the file of the lines that were typed: one entry a line, newlines inside it
 * written as \n. It is its owner's alone, and holds no line that looks as if it had a secret in
 * it. */
#ifndef COMMAND_HISTORY_H
#define COMMAND_HISTORY_H

#include <stdbool.h>

enum { HISTORY_SIZE = 10000 }; /* entries that are read, and kept */

/* Where it is: MODALUA_HISTORY (empty: nowhere), else $XDG_STATE_HOME/modalua/history, else
 * ~/.local/state/modalua/history. NULL: nowhere, or no memory. The caller frees it. */
char *history_path(void);

/* Calls `entry` for each entry, the oldest first. A file that is not there has none. Rewrites one
 * that has become long. */
void history_load(const char *path, void (*entry)(void *user, const char *text), void *user);

/* Appends the text, unless it begins with a blank or may hold a secret. Makes the file and its
 * folder. False: it cannot be written; errno says why. */
bool history_append(const char *path, const char *text);

#endif
