#include "database/database.h"

#include <lauxlib.h>
#include <string.h>

#include "binding/doc.h"
#include "binding/error.h"
#include "binding/userdata.h"
#include "database/machine.h"
#include "database/postgres.h"
#include "database/sqlite.h"
#include "request/guard.h"

#define DATABASE_TYPE "modalua.Database"

/* ---- for the kinds ---- */

database *database_new(lua_State *L, loop *lp, const database_kind *kind, size_t size)
{
    database *d = lua_newuserdatauv(L, size, DATABASE_VALUES);
    memset(d, 0, size);
    d->kind = kind;
    d->lp = lp;
    luaL_setmetatable(L, DATABASE_TYPE);
    lua_newtable(L);
    lua_setiuservalue(L, -2, DATABASE_STATEMENTS);
    return d;
}

int database_fail(lua_State *L, const char *function, const char *code)
{
    error_from_message(L, "database", code);
    error_set(L, "op", function);
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
}

/* ---- the methods ---- */

static database *database_check(lua_State *L)
{
    return luaL_checkudata(L, DATABASE_DB, DATABASE_TYPE);
}

static int database_run(lua_State *L, bool is_slow)
{
    database *d = database_check(L);
    luaL_checktype(L, DATABASE_SQL, LUA_TSTRING);
    if (strlen(lua_tostring(L, DATABASE_SQL)) != lua_rawlen(L, DATABASE_SQL))
        error_usage(L, "db:run: a statement cannot have a NUL: give it as a parameter");
    if (!d->is_open)
        error_usage(L, "db:run: the connection is closed");
    if (d->user)
        error_usage(L, "db:run: another task uses this connection");
    for (int i = DATABASE_FIRST_PARAMETER; i <= lua_gettop(L); i++) {
        int type = lua_type(L, i);
        if (type != LUA_TNIL && type != LUA_TBOOLEAN && type != LUA_TNUMBER && type != LUA_TSTRING)
            error_usage(L, "db:run: the parameter $%d is a %s", i - DATABASE_SQL,
                        lua_typename(L, type));
    }
    return d->kind->run(L, d, is_slow);
}

static int database_l_run(lua_State *L)
{
    return database_run(L, false);
}

static int database_l_run_slowly(lua_State *L)
{
    return database_run(L, true);
}

static int database_l_abandon(lua_State *L)
{
    database *d = database_check(L);
    if (d->user)
        error_usage(L, "db:abandon: another task uses this connection");
    if (d->is_open)
        d->kind->abandon(d);
    return 0;
}

static int database_l_close(lua_State *L)
{
    database *d = database_check(L);
    d->is_open = false;
    d->kind->close(d);
    return 0;
}

static const field_row fields[] = { { "kind", "\"sqlite\" or \"postgres\"" }, FIELDS_END };
static const object_kind kind = { "database", "a database", fields };

static int database_l_index(lua_State *L)
{
    const database *d = database_check(L);
    if (strcmp(luaL_checkstring(L, 2), "kind") != 0)
        return userdata_method(L);
    lua_pushstring(L, d->kind->name);
    return 1;
}

static const luaL_Reg methods[] = { { "run", database_l_run },
                                    { "run_slowly", database_l_run_slowly },
                                    { "abandon", database_l_abandon },
                                    { "close", database_l_close },
                                    { NULL, NULL } };

static const luaL_Reg metamethods[] = { { "__index", database_l_index },
                                        { "__gc", database_l_close },
                                        { "__close", database_l_close },
                                        { NULL, NULL } };

/* ---- the part ---- */

static int database_l_open(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TSTRING);
    lua_settop(L, 3);
    if (postgres_is_address(lua_tostring(L, 1)))
        return postgres_open(L, doc_loop(L));
    return sqlite_open(L, doc_loop(L));
}

static const luaL_Reg functions[] = {
    { "open", database_l_open },
    { "wall", machine_l_wall },
    { "boot", machine_l_boot },
    { "random", machine_l_random },
    { "process", machine_l_process },
    { "signal_self", machine_l_signal_self },
    { NULL, NULL },
};

int database_open(lua_State *L)
{
    loop *lp = doc_loop(L);
    guard_check(L, lp, "transfer", "a sandboxed script has no transfers: their ledgers are files");
    lua_newtable(L);
    luaL_setfuncs(L, methods, 0);
    userdata_open(L, lp, DATABASE_TYPE, &kind, metamethods);
    lua_pop(L, 1);
    luaL_newlibtable(L, functions);
    lua_pushlightuserdata(L, lp);
    luaL_setfuncs(L, functions, 1);
    return 1;
}
