/* database/sqlite_connection.h - a connection to SQLite, as the files sqlite*.c share it; no other file includes it. */
#ifndef DATABASE_SQLITE_CONNECTION_H
#define DATABASE_SQLITE_CONNECTION_H

#include <lua.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "database/database.h"

/* The functions that are used, without their prefix. */
/* clang-format off */
#define SQLITE_FUNCTIONS(X) \
    X(libversion_number) \
    X(open_v2) X(close_v2) X(extended_result_codes) X(db_config) X(progress_handler) X(interrupt) X(threadsafe) \
    X(errmsg) X(errstr) X(extended_errcode) X(system_errno) \
    X(prepare_v3) X(next_stmt) X(finalize) X(reset) X(clear_bindings) X(step) \
    X(bind_parameter_count) X(bind_parameter_name) \
    X(bind_null) X(bind_int64) X(bind_double) X(bind_text64) \
    X(column_count) X(column_name) X(column_type) X(column_int64) X(column_double) \
    X(column_text) X(column_blob) X(column_bytes) \
    X(total_changes64) X(changes64) X(get_autocommit)
/* clang-format on */

#define SQLITE_POINTER(name) __typeof__(sqlite3_##name) *name;
#define SQLITE_NAME(name)    "sqlite3_" #name,

typedef struct sqlite_functions {
    SQLITE_FUNCTIONS(SQLITE_POINTER)
} sqlite_functions;

typedef struct sqlite_slow sqlite_slow;

typedef struct sqlite {
    database base;
    sqlite_functions api;
    sqlite3 *handle;
    sqlite3_stmt *active; /* the statement of the last call, until it has been reset */
    bool is_kept;         /* that statement is one of those that are kept */
    int kept;             /* how many are kept */
    unsigned cancels;     /* loop_cancels when the last call began */
    sqlite_slow
        *slow; /* the call of which a thread carries out a step (sqlite_slow.h); NULL: none */
    atomic_bool is_stopped; /* the step that the thread carries out must end */
} sqlite;

/* Pushes nil and the error of the result code, with SQLite's message, and returns 2. [-0, +2, m] */
int sqlite_fail(lua_State *L, const sqlite *s, const char *function, int code);

/* The statement of the last call no longer holds a lock, nor strings of Lua. */
void sqlite_leave_statement(sqlite *s);

/* Adds the row that the statement has stepped to, as number n, to the table on the top. False: not enough memory.
 * [-0, +0, m] */
bool sqlite_add_row(lua_State *L, const sqlite *s, lua_Integer n);

/* Steps to the end of the statement, and adds the rows to the table on the top. Returns SQLITE_DONE or what is
 * wrong. [-0, +0, m] */
int sqlite_step_all(lua_State *L, const sqlite *s);

/* The end of a call: `code` is what the last step returned, `total` sqlite3_total_changes64 before it, and the rows
 * are on the top. Leaves the statement. Returns the results of db:run. [-1, +2, v] */
int sqlite_end_call(lua_State *L, sqlite *s, int code, sqlite3_int64 total);

#endif
