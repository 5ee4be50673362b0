/* database/sqlite.h - connections to SQLite. A call blocks, for as long as a statement takes; a lock of
 * another process is an error at once (SQLITE_BUSY). Ctrl-C and limits interrupt a long statement. */
#ifndef DATABASE_SQLITE_H
#define DATABASE_SQLITE_H

#include <lua.h>

#include "engine/loop.h"

/* native.open for the path at 1. A file that is missing is made, for this user alone, when 2 is true; else it
 * is an error. Returns db | nil, err. */
int sqlite_open(lua_State *L, loop *lp);

#endif
