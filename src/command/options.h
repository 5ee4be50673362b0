/* command/options.h - the command's own options: one table, from which they are read, shown by --help, and
 * written into the manual page. */
#ifndef COMMAND_OPTIONS_H
#define COMMAND_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* An -e or -l. */
typedef struct action {
    char kind; /* 'e' or 'l' */
    const char *text;
} action;

/* What the command is to do: what stands before the script on the command line, and what main.c
 * makes of the rest. */
typedef struct options {
    bool interactive, version, help, verbose, warnings, no_environment, sandbox;
    bool has_code; /* an -e: no script is needed */
    char *url;
    const char *profile;
    size_t memory_limit;
    double time_limit;
    int script;      /* its place in argv, or a verb's; argc when there is none */
    action *actions; /* in the order in which they stand */
    int action_count;
    bool verb;                       /* the script is a verb's name */
    const struct playground *ground; /* NULL: the user's own servers */
} options;

typedef struct option_row {
    char letter;          /* 0 = none */
    const char *name;     /* without its dashes; NULL = none */
    const char *argument; /* NULL = it takes none */
    const char *help;
    bool anywhere;                        /* it may stand behind a verb, too */
    bool (*set)(options *o, char *value); /* takes the argument; NULL: there is none, and */
    size_t flag;                          /* this is the place of the bool that it sets */
} option_row;

extern const option_row option_rows[]; /* ended by one without help */

/* Reads the words up to the script. False: the word at o->script is wrong, or there is no memory.
 * The caller frees both with options_free in any case. */
bool options_parse(options *o, int argc, char **argv);
void options_free(options *o);

/* Takes those that may stand anywhere out of the words from `first` on, up to "--". Returns how
 * many words are left in all, or -1: the word at *wrong is wrong. */
int options_take(options *o, int first, int argc, char **argv, int *wrong);

/* Writes an option as --help has it: "-u, --url URL". */
void options_write(const option_row *row, char *text, size_t size);

/* The table as lines of --help. */
void options_print(FILE *to);

#endif
