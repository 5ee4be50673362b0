/* binding/options.h - reads tables of options: a row describes each option; an unknown name throws,
 * and the error suggests the nearest known one. */
#ifndef BINDING_OPTIONS_H
#define BINDING_OPTIONS_H

#include <lua.h>
#include <stddef.h>

typedef enum option_type {
    OPTION_STRING,  /* const char *; owned by the table */
    OPTION_SECONDS, /* double, more than 0; math.huge becomes 0 = no limit */
    OPTION_COUNT,   /* unsigned, 1 or more */
    OPTION_NUMBER,  /* unsigned, 0 or more */
    OPTION_FLAG,    /* bool */
    OPTION_TABLE,   /* any table; the caller reads it */
    OPTION_VALUE    /* any value; the caller reads it */
} option_type;

typedef struct option {
    const char *name;
    option_type type;
    size_t offset;    /* of the field in the struct that is filled */
    const char *help; /* what help(), completion and lua/README.md say about it */
} option;

/* The last row of a table. */
#define OPTIONS_END                \
    {                              \
        NULL, OPTION_FLAG, 0, NULL \
    }

/* The option of every operation that sends its table of options to Orthanc. */
extern const option options_extra;

/* Fills the struct `into` from the table at index; nil = no options. A row without a name ends the
 * rows. An option that is not given leaves its field unchanged. Throws on unknown names and on
 * wrong values; the message names `function`. [-0, +0, v] */
void options_read(lua_State *L, int index, const char *function, const option *rows, void *into);

/* Throws when the metatable of the table at index has __index or __pairs: what those add would be
 * ignored. The message calls the table `what`. [-0, +0, v] */
void options_check_plain(lua_State *L, int index, const char *function, const char *what);

/* The row with that name, or NULL. */
const option *options_find(const option *rows, const char *name);

/* The type in a word for help; NULL for OPTION_VALUE, where the row's help says what fits. */
const char *options_type_name(option_type type);

/* Checks the value on the top, and stores it in the field of `into` that the row names. [-0, +0, v]
 */
void options_value(lua_State *L, const char *function, const option *row, void *into);

#endif
