/* database/postgres.h - connections to PostgreSQL. A statement is an operation (engine/op.h): it yields.
 *
 * A statement that is cancelled, or takes too long, is left to the next one on the same connection, which cancels
 * it on the server first. A connection that was lost is made again by the next statement. When it was lost inside
 * a transaction, all statements fail until ROLLBACK: they would be executed outside of it. */
#ifndef DATABASE_POSTGRES_H
#define DATABASE_POSTGRES_H

#include <lua.h>
#include <stdbool.h>

#include "engine/loop.h"

/* Whether the target of native.open is an address of PostgreSQL. */
bool postgres_is_address(const char *target);

/* native.open for the address at 1; a table at 3 can have the name of a schema as `search_path`, which
 * each connection gets, also one that is made again, and the time limits `connect`, `statement` and `cancel` in
 * seconds.
 * Returns db | nil, err. */
int postgres_open(lua_State *L, loop *lp);

#endif
