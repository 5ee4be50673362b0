/* binding/options.h - option tables: a row a key, unknown keys thrown with the right one named. */
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
    OPTION_TABLE,   /* checked only; the caller reads it */
    OPTION_VALUE    /* whatever it is, the caller reads it */
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

/* Fills `into` from the table at index (nil = no options), by rows that end with one without a
 * name. Keys that are not given leave their field alone. Throws, naming `function`, on unknown keys
 * and wrong values. [-0, +0, v] */
void options_read(lua_State *L, int index, const char *function, const option *rows, void *into);

/* Throws when the table at index inherits: what its metatable adds would not be seen. `what` it is,
 * for the message. [-0, +0, v] */
void options_check_plain(lua_State *L, int index, const char *function, const char *what);

/* The row of that name, or NULL. */
const option *options_find(const option *rows, const char *name);

/* The type in a word for help; NULL for OPTION_VALUE, where the row's help says what fits. */
const char *options_type_name(option_type type);

/* Checks the value on the top and puts it where the row says. [-0, +0, v] */
void options_value(lua_State *L, const char *function, const option *row, void *into);

#endif
