/* command/options.h - the options of the command line, and the environment variables: one table,
 * from which they are read, listed by --help, and written into the manual page. */
#ifndef COMMAND_OPTIONS_H
#define COMMAND_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "modalua.h"

/* An option -e or -l. They take effect in the order of the command line. */
typedef struct command_action {
    char letter;      /* 'e' or 'l' */
    const char *text; /* the code, or the library's name */
} command_action;

/* What the command line and the environment ask for. */
typedef struct command_options {
    modalua_config config; /* the fields that options and environment variables set */
    bool interactive, version, help, verbose, warnings, no_environment, sandbox;
    bool has_code;        /* there is an -e, so no script is needed */
    char *own_url;        /* config.url, when it is a copy */
    char *own_passphrase; /* config.key_password, when it comes from a file */
    command_action *actions;
    int action_count;
    int word;  /* the place in argv of the first word that is no option: a script or a verb; argc
                  when there is none */
    bool verb; /* that word is the name of a verb */
    const struct playground *playground; /* NULL: the servers are the user's own */
} command_options;

/* An option of the command line, or an environment variable, or both. */
typedef struct command_option {
    char letter;          /* 0 = none */
    const char *name;     /* without its dashes; NULL = none */
    const char *argument; /* the argument as --help names it; NULL = the option takes none */
    const char *variable; /* the environment variable with the same meaning; NULL = none */
    const char *help;
    bool anywhere; /* the option may also stand behind the words of a verb */
    bool (*set)(command_options *o, void *field, char *argument); /* false: a wrong argument */
    size_t field; /* the offset in command_options of what it sets */
} command_option;

/* Ended by a row without help. */
extern const command_option command_option_rows[];

/* Reads the words up to the first one that is no option, and sets o->word. False: the word at
 * o->word is wrong, or out of memory. Call command_options_free in both cases. */
bool command_options_parse(command_options *o, int argc, char **argv);

/* The same for further options, which begin at argv[first]. */
bool command_options_read(command_options *o, int first, int argc, char **argv);
void command_options_free(command_options *o);

/* Reads the environment variables. Those of the server and its credentials only when neither an option
 * nor the playground has chosen another server: the credentials are for the server of MODALUA_URL
 * alone. */
void command_options_environment(command_options *o);

/* Reads, and removes from argv, the options that may stand anywhere: from argv[first] on, up to
 * "--". Returns the new number of words in argv; or -1, when the word at *wrong is wrong. */
int command_options_take(command_options *o, int first, int argc, char **argv, int *wrong);

/* The name of the option that is most like a misspelt word; NULL: none is, or the word is an option. */
const char *command_options_nearest(const char *word);

/* Writes an option as --help shows it: "-u, --url URL". "" for a row that is no option. */
void command_options_label(const command_option *row, char *text, size_t size);

/* Prints the options, or the environment variables, as lines of --help. */
void command_options_print(FILE *to);
void command_options_print_environment(FILE *to);

#endif
