/* command/text_editor.h - lets the user edit a text with the editor of their choice. */
#ifndef COMMAND_TEXT_EDITOR_H
#define COMMAND_TEXT_EDITOR_H

#include "command/buffer.h"

/* Runs $VISUAL, $EDITOR, or else `editor` or vi with the text in a temporary file, which only the user
 * may read, and appends the result to `edited`, without newlines at its end. The terminal must be as
 * programs expect it. Blocks. False: standard error says why there is no result. */
bool text_editor_run(const char *text, buffer *edited);

#endif
