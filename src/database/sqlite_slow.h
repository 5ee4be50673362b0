/* database/sqlite_slow.h - statements of SQLite that take long: a thread of the call carries out each step to the
 * next row, and other tasks go on meanwhile. The connection is the thread's alone during a step. */
#ifndef DATABASE_SQLITE_SLOW_H
#define DATABASE_SQLITE_SLOW_H

#include "database/sqlite_connection.h"

/* Runs the active statement to its end, as an operation; the rows are added to the table on the top. `total`: as
 * for sqlite_end_call. Returns the results of db:run. [-1, +2, v] */
int sqlite_slow_run(lua_State *L, sqlite *s, sqlite3_int64 total);

/* The connection is about to be closed: the step that is under way ends, and its call fails. */
void sqlite_slow_end(sqlite *s);

#endif
