/* database/postgres_values.h - Lua values to parameters of PostgreSQL, its results to Lua values and errors. */
#ifndef DATABASE_POSTGRES_VALUES_H
#define DATABASE_POSTGRES_VALUES_H

#include <lua.h>
#include <stdbool.h>

#include "database/postgres_functions.h"

/* SQLSTATEs of errors that the server does not report itself. */
#define POSTGRES_CANNOT_CONNECT "08001"
#define POSTGRES_LOST           "08006"
#define POSTGRES_TIME_LIMIT     "57014"
#define POSTGRES_BAD_TEXT       "22021"

/* SQLSTATE of a wrong number of parameters. */
#define POSTGRES_WRONG_COUNT "08P01"

/* Replaces each parameter on the stack, from `first` to the top, by its text, and pushes an array of pointers to
 * these, which is returned. NULL: pushes nothing; the parameter *bad has a NUL, and PostgreSQL has no such text.
 * [-0, +(0|1), m] */
const char *const *postgres_push_parameters(lua_State *L, int first, int *bad);

/* Pushes the rows of the result, and how many rows the statement has changed. [-0, +2, m] */
void postgres_push_rows(lua_State *L, const postgres_functions *api, const PGresult *result);

/* Pushes nil and the error that the server reports in the result, and returns 2. `place`: the index of the text
 * that names the database. [-0, +2, m] */
int postgres_fail_result(lua_State *L, const postgres_functions *api, const PGresult *result,
                         int place);

/* The same for an error that has no result; the message is on the top. [-1, +2, m] */
int postgres_fail(lua_State *L, const char *function, const char *sqlstate, int place);

/* The same with the first line of a message of libpq. [-0, +2, m] */
int postgres_fail_message(lua_State *L, const char *function, const char *sqlstate,
                          const char *message, int place);

/* The same for a connection that could not be made. libpq has the server's SQLSTATE only in its message, which
 * therefore has to be verbose (PQERRORS_VERBOSE). [-0, +2, m] */
int postgres_fail_connect(lua_State *L, const char *function, const char *message, int place);

#endif
