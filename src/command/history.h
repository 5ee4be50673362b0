/* command/history.h - the history file of the prompt: one entry a line, the newlines inside an
 * entry written as \n. Only its owner may read it. An entry that may hold a secret is not written.
 */
#ifndef COMMAND_HISTORY_H
#define COMMAND_HISTORY_H

#include <stdbool.h>

enum { HISTORY_SIZE = 10000 }; /* the number of entries that are read, and kept */

/* The path of the file: MODALUA_HISTORY, else $XDG_STATE_HOME/modalua/history, else
 * ~/.local/state/modalua/history. The caller frees it. NULL: there is no file (MODALUA_HISTORY is
 * empty, or there is no home folder), or no memory. */
char *history_path(void);

/* Calls `entry` for each entry, the oldest first. A file that does not exist has no entries, nor has
 * anything but a regular file of this user. Shortens the file when it holds more than twice HISTORY_SIZE entries. */
void history_load(const char *path, void (*entry)(void *user, const char *text), void *user);

/* Appends the entry, unless it begins with a space or may hold a secret. Creates the file and its
 * folders. False: the file cannot be written; errno says why: EPERM, it is no regular file of this
 * user, or a link. */
bool history_append(const char *path, const char *entry);

/* Whether the entry may hold a secret. */
bool history_may_hold_secret(const char *entry);

#endif
