/* command/editing.h - the two line editors from which line_editor.c chooses, and what they share. */
#ifndef COMMAND_EDITING_H
#define COMMAND_EDITING_H

#include "command/buffer.h"
#include "command/line_editor.h"

typedef struct editing {
    /* Reads a line of e->request into the empty e->line. May take from e->earlier, and add to it. */
    line_editor_result (*read)(line_editor *e);
    /* Adds an entry to the history in memory. */
    void (*enter)(line_editor *e, const char *input);
    void (*each)(line_editor *e, void (*entry)(void *user, const char *input), void *user);
    void (*close)(line_editor *e);
} editing;

struct line_editor {
    const editing *how;
    void *own; /* of the editor in use */
    line_editor_complete_fn complete;
    line_editor_hint_fn hint;
    void *user;
    char *history_file;   /* NULL: the history is not saved */
    char *last;           /* the newest entry of the history */
    line_request request; /* the argument of line_editor_read */
    buffer earlier;       /* the lines of the input before the present one, each with its newline */
    buffer line;          /* the present line */
};

/* Each sets e->how and e->own. False: it cannot be used, and nothing is changed. */
bool readline_open(line_editor *e); /* the library is not installed, or has another interface */
bool libedit_open(line_editor *e);  /* no memory */

/* ---- completion ---- */

enum { CANDIDATES_MAX = 100 };

typedef struct candidates {
    char *list[CANDIDATES_MAX];
    size_t count;    /* how many are in the list */
    size_t all;      /* how many there are */
    size_t common;   /* the number of bytes at their beginning that all share */
    size_t replaced; /* the number of bytes before the cursor that each replaces */
} candidates;

/* Finds the candidates for the cursor behind `size` bytes of the present line. False: there are none.
 * Otherwise the caller frees them. */
bool editing_candidates(line_editor *e, const char *line, size_t size, candidates *c);
void editing_free_candidates(candidates *c);

/* Prints the candidates in columns below the line. */
void editing_print_candidates(const candidates *c);

#endif
