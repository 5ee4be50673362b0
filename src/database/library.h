/* database/library.h - loads a shared library when a script first needs it.
 *
 * SQLite and libpq are not linked: two more libraries would make every start of a program slower, and
 * most programs never open a ledger. Only their headers are needed to build. */
#ifndef DATABASE_LIBRARY_H
#define DATABASE_LIBRARY_H

#include <lua.h>
#include <stdbool.h>

typedef struct library {
    const char *file;         /* "libsqlite3.so.0" */
    const char *package;      /* the Debian package that has it, for the error message */
    const char *const *names; /* of the functions that are needed, ended by NULL */
} library;

/* Loads the library, and fills in the struct `functions`, which has a pointer for each name, in the same
 * order. The library stays loaded. False: pushes what is wrong. [-0, +(0|1), m] */
bool library_load(lua_State *L, const library *lib, void *functions);

#endif
