/* command/session_files.h - the scripts that a session at the prompt reads and writes. */
#ifndef COMMAND_SESSION_FILES_H
#define COMMAND_SESSION_FILES_H

#include <stdbool.h>

#include "command/buffer.h"

/* Appends the text of a script to `text`. False: standard error says why it cannot be read. */
bool session_files_read(const char *path, buffer *text);

/* Writes a script, which is made of pieces, and says so on standard error. `answer` is the rest of an
 * answer of evaluate.line: the path, a head, and the pieces. A piece that may hold a secret is left
 * out. A file that is no such script is not overwritten. False: standard error says why there is no
 * script. */
bool session_files_save(const char *answer);

#endif
