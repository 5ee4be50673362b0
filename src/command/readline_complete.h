/* command/readline_complete.h - completion for readline. As readline, it is one per process. */
#ifndef COMMAND_READLINE_COMPLETE_H
#define COMMAND_READLINE_COMPLETE_H

#include "command/line_editor.h"
#include "command/readline_library.h"

/* From now on readline completes with what this editor offers. The library stays where it is. */
void readline_complete_open(const readline_library *library, line_editor *e);

/* A readline_command, for TAB: completes; at the beginning of a row it indents. */
int readline_complete_tab(int count, int key);

#endif
