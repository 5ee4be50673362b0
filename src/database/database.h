/* database/database.h - connections to databases, for the ledger of a transfer: the part
 * "transfer.native" of the Lua half. Scripts have no database API, and a sandbox has no ledgers.
 *
 *   native.open(target [, create [, options]]) -> db | nil, err
 *   db.kind                        -> "sqlite" | "postgresql"
 *   db:run(sql, ...)               -> rows, changed | nil, err
 *   db:run_slowly(sql, ...)        the same for a statement that can take long: other tasks go on meanwhile
 *   db:abandon()                   the open transaction, if any, is rolled back, now or by the next call;
 *                                  for a task that was cancelled, and can wait for nothing
 *   db:close()
 *
 * `run` executes one statement with its parameters $1, $2 and so on: nil, integers, floats, strings,
 * booleans. `rows` is a list of tables, with the columns as fields; a column that is NULL is absent.
 * `changed` is the number of rows that the statement has changed. Statements are prepared once.
 *
 * The error has the kind "database"; its code is SQLite's extended code ("SQLITE_BUSY"), a SQLSTATE
 * of PostgreSQL ("40001"), or "library". A wrong call throws. Two tasks cannot use one connection
 * at the same time.
 */
#ifndef DATABASE_DATABASE_H
#define DATABASE_DATABASE_H

#include <lua.h>
#include <stdbool.h>

#include "engine/loop.h"

typedef struct database database;

typedef struct database_kind {
    const char *name; /* the field `kind` of a connection */
    /* db:run or db:run_slowly, with the connection at 1, the statement at 2, and its parameters behind it. */
    int (*run)(lua_State *L, database *d, bool is_slow);
    /* db:abandon. Must not wait. */
    void (*abandon)(database *d);
    /* Frees what the connection holds. Idempotent. */
    void (*close)(database *d);
} database_kind;

/* A userdata starts with this struct. */
struct database {
    const database_kind *kind;
    loop *lp;
    bool is_open;
    op *user; /* the call that waits on it; NULL: none */
};

/* Its user values. */
enum {
    DATABASE_STATEMENTS = 1, /* a table: the text of a statement -> the prepared statement */
    DATABASE_PLACE,          /* its path or address, which error messages name */
    DATABASE_SEARCH_PATH,    /* of PostgreSQL, or nil */
    DATABASE_VALUES = DATABASE_SEARCH_PATH
};

/* How many statements are prepared once and kept; others are prepared for each call. */
enum { DATABASE_STATEMENTS_MAX = 200 };

/* What run returns and takes: places on the stack. */
enum { DATABASE_DB = 1, DATABASE_SQL, DATABASE_FIRST_PARAMETER };

/* Pushes a closed connection, a zeroed userdata of `size` bytes. [-0, +1, m] */
database *database_new(lua_State *L, loop *lp, const database_kind *kind, size_t size);

/* Replaces the message on the top by nil and an error of the kind "database", and returns 2. `function`
 * is what the script called; code may be NULL. The error is on the top. [-1, +2, m] */
int database_fail(lua_State *L, const char *function, const char *code);

/* For parts_provide_later: pushes the table "transfer.native". */
int database_open(lua_State *L);

#endif
