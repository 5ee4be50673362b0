#include "database/sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "binding/error.h"
#include "binding/interrupt.h"
#include "database/library.h"
#include "database/sqlite_codes.h"
#include "database/sqlite_connection.h"
#include "database/sqlite_slow.h"

enum { SQLITE_LEAST_VERSION = 3040000 };

/* So many steps of SQLite's virtual machine, about a millisecond, are between two looks whether the run has to
 * stop. */
enum { STEPS_BETWEEN_LOOKS = 10000 };

static const char *const sqlite_names[] = { SQLITE_FUNCTIONS(SQLITE_NAME) NULL };
static const library sqlite_library = { "libsqlite3.so.0", "libsqlite3-0", sqlite_names };

/* ---- errors ---- */

/* Whether the disk, the share of the user, or the largest file that is allowed, has no room. */
static bool sqlite_is_full(int code, int fault)
{
    return (code & 0xff) == SQLITE_FULL || fault == ENOSPC || fault == EDQUOT || fault == EFBIG;
}

/* Pushes what is wrong, in words. [-0, +1, m] */
static void sqlite_push_message(lua_State *L, const sqlite *s, int code, int fault)
{
    const char *message = s->handle ? s->api.errmsg(s->handle) : s->api.errstr(code);
    lua_getiuservalue(L, DATABASE_DB, DATABASE_PLACE);
    if (sqlite_is_full(code, fault))
        lua_pushfstring(
            L, "%s: no space is left on its disk: make room there, and start the same again",
            lua_tostring(L, -1));
    else if (fault != 0)
        lua_pushfstring(L, "%s: %s (%s)", lua_tostring(L, -1), message, strerror(fault));
    else
        lua_pushfstring(L, "%s: %s", lua_tostring(L, -1), message);
    lua_remove(L, -2);
}

/* The errno behind the result code; 0: none. */
static int sqlite_fault(const sqlite *s, int code)
{
    int primary = code & 0xff;
    bool is_of_system = primary == SQLITE_IOERR || primary == SQLITE_CANTOPEN;
    return s->handle && is_of_system ? s->api.system_errno(s->handle) : 0;
}

int sqlite_fail(lua_State *L, const sqlite *s, const char *function, int code)
{
    int primary = code & 0xff, fault = sqlite_fault(s, code);
    sqlite_push_message(L, s, code, fault);
    database_fail(L, function, sqlite_code_name(sqlite_is_full(code, fault) ? SQLITE_FULL : code));
    lua_createtable(L, 0, 2);
    lua_pushinteger(L, primary);
    lua_setfield(L, -2, "sqlite");
    lua_pushinteger(L, code);
    lua_setfield(L, -2, "extended");
    lua_setfield(L, -2, "details");
    if (primary == SQLITE_BUSY || primary == SQLITE_LOCKED) {
        lua_pushboolean(L, 1);
        lua_setfield(L, -2, "retryable");
    }
    return 2;
}

/* ---- opening and closing ---- */

void sqlite_leave_statement(sqlite *s)
{
    if (!s->active)
        return;
    if (s->is_kept) {
        s->api.reset(s->active);
        s->api.clear_bindings(s->active);
    } else {
        s->api.finalize(s->active);
    }
    s->active = NULL;
}

/* A statement hangs on its connection from the moment it is made. */
static void sqlite_close(database *d)
{
    sqlite *s = (sqlite *)d;
    sqlite3_stmt *statement;
    if (!s->handle)
        return;
    sqlite_slow_end(s);
    while ((statement = s->api.next_stmt(s->handle, NULL)))
        s->api.finalize(statement);
    s->active = NULL;
    s->api.close_v2(s->handle);
    s->handle = NULL;
}

static void sqlite_abandon(database *d)
{
    sqlite *s = (sqlite *)d;
    sqlite3_stmt *statement;
    sqlite_leave_statement(s);
    if (s->api.get_autocommit(s->handle) ||
        s->api.prepare_v3(s->handle, "ROLLBACK", -1, 0, &statement, NULL) != SQLITE_OK)
        return;
    s->api.step(statement);
    s->api.finalize(statement);
}

/* Makes the file unless it is there, and returns 0, or an errno that says why it cannot be used. It never opens
 * a file that is there: closing it would release the locks that other connections of this process hold. */
static int sqlite_find_file(const char *path, bool create, bool is_read)
{
    struct stat it;
    int fd;
    if (stat(path, &it) == 0) {
        if (S_ISDIR(it.st_mode))
            return EISDIR;
        if (it.st_size == 0 && create && it.st_uid == geteuid())
            chmod(path, 0600); /* it becomes a database now */
        return faccessat(AT_FDCWD, path, is_read ? R_OK : R_OK | W_OK, AT_EACCESS) == 0 ? 0 : errno;
    }
    if (errno != ENOENT || !create)
        return errno;
    fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno == EEXIST ? 0 : errno;
    close(fd);
    return 0;
}

/* interrupt_look reads a clock that can be late (clock_coarse): it throws only after that time. The time that a
 * thread takes (sqlite_slow.h) is the loop's to limit: what is overdue may be the Lua code of another task. */
static int sqlite_on_progress(void *user)
{
    static const double coarse = 0.02;
    const sqlite *s = user;
    if (atomic_load(&s->is_stopped) || loop_cancels(s->base.lp) != s->cancels)
        return true;
    return !s->slow && loop_overdue(s->base.lp) > coarse;
}

/* The file may have been made by another user: its schema must not reach anything but its own tables. */
static void sqlite_protect(sqlite *s)
{
    s->api.extended_result_codes(s->handle, 1);
    s->api.db_config(s->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    s->api.db_config(s->handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    s->api.progress_handler(s->handle, STEPS_BETWEEN_LOOKS, sqlite_on_progress, s);
}

static int sqlite_run(lua_State *L, database *d, bool is_slow);

static const database_kind sqlite_kind = { "sqlite", sqlite_run, sqlite_abandon, sqlite_close };

/* Loads the library. False: pushes the message. [-0, +(0|1), m] */
static bool sqlite_load(lua_State *L, sqlite *s)
{
    if (!library_load(L, &sqlite_library, &s->api))
        return false;
    if (s->api.libversion_number() < SQLITE_LEAST_VERSION)
        lua_pushliteral(L, "the library of SQLite is too old: 3.40 is the oldest that is used");
    else if (s->api.threadsafe() == 0)
        lua_pushliteral(L, "the library of SQLite was built without threads");
    else
        return true;
    return false;
}

/* Pushes the name as SQLite needs it. "./": else a name like ":memory:" or "file:x" would be no name of a file.
 * [-0, +1, m] */
static const char *sqlite_push_name(lua_State *L, const char *path, bool is_still)
{
    const char *name = lua_pushfstring(L, "%s%s", path[0] == '/' ? "" : "./", path);
    if (!is_still)
        return name;
    name = luaL_gsub(L, name, "%", "%25");
    name = luaL_gsub(L, name, "?", "%3f");
    name = luaL_gsub(L, name, "#", "%23");
    return lua_pushfstring(L, "file:%s?immutable=1", name);
}

/* The way in which native.open is to read: as the field "read" of the table at 3. */
enum sqlite_read { WRITES, READS, READS_STILL };

static enum sqlite_read sqlite_check_read(lua_State *L, int options)
{
    const char *how = NULL;
    if (lua_istable(L, options) && lua_getfield(L, options, "read") == LUA_TSTRING)
        how = lua_tostring(L, -1);
    if (!how)
        return WRITES;
    return strcmp(how, "still") == 0 ? READS_STILL : READS;
}

/* Opens the path. Returns SQLite's code. [-0, +m, m] */
static int sqlite_open_path(lua_State *L, sqlite *s, const char *path, enum sqlite_read read)
{
    int flags = SQLITE_OPEN_NOMUTEX |
                (read == WRITES ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY) |
                (read == READS_STILL ? SQLITE_OPEN_URI : 0);
    int code =
        s->api.open_v2(sqlite_push_name(L, path, read == READS_STILL), &s->handle, flags, NULL);
    return code != SQLITE_OK && s->handle ? s->api.extended_errcode(s->handle) : code;
}

int sqlite_open(lua_State *L, loop *lp)
{
    enum { PATH = 1, CREATE, OPTIONS };
    const char *path = lua_tostring(L, PATH);
    bool create = lua_toboolean(L, CREATE);
    enum sqlite_read read = sqlite_check_read(L, OPTIONS);
    int fault, code;
    sqlite *s;
    if (strlen(path) != lua_rawlen(L, PATH)) {
        lua_pushliteral(L, "a path cannot have a NUL");
        return database_fail(L, "open", "SQLITE_CANTOPEN");
    }
    s = (sqlite *)database_new(L, lp, &sqlite_kind, sizeof *s);
    lua_pushvalue(L, PATH);
    lua_setiuservalue(L, -2, DATABASE_PLACE);
    lua_replace(L, DATABASE_DB); /* the path stays in the user value */
    if (!sqlite_load(L, s))
        return database_fail(L, "open", "library");
    fault = sqlite_find_file(path, create, read != WRITES);
    if (fault) {
        lua_pushfstring(L, "%s: %s", path, strerror(fault));
        return database_fail(L, "open", fault == EROFS ? "SQLITE_READONLY" : "SQLITE_CANTOPEN");
    }
    code = sqlite_open_path(L, s, path, read);
    if (code != SQLITE_OK)
        return sqlite_fail(L, s, "open", code);
    sqlite_protect(s);
    s->base.is_open = true;
    lua_settop(L, DATABASE_DB);
    return 1;
}

/* ---- statements ---- */

/* Whether the rest of a text has a second statement, and not only blanks and comments. */
static bool sqlite_has_more(const sqlite *s, const char *rest)
{
    sqlite3_stmt *second = NULL;
    int code;
    while (*rest == ';' || *rest == ' ' || *rest == '\n' || *rest == '\t' || *rest == '\r')
        rest++;
    if (*rest == '\0')
        return false;
    code = s->api.prepare_v3(s->handle, rest, -1, 0, &second, NULL);
    s->api.finalize(second);
    return code != SQLITE_OK || second;
}

/* Makes the prepared statement of the text the active one, and returns SQLITE_OK or what is wrong. */
static int sqlite_prepare(lua_State *L, sqlite *s)
{
    const char *rest = NULL;
    int code;
    lua_getiuservalue(L, DATABASE_DB, DATABASE_STATEMENTS);
    lua_pushvalue(L, DATABASE_SQL);
    if (lua_rawget(L, -2) == LUA_TLIGHTUSERDATA) {
        s->active = lua_touserdata(L, -1);
        s->is_kept = true;
        lua_pop(L, 2);
        return SQLITE_OK;
    }
    lua_pop(L, 1);
    s->is_kept = false;
    code = s->api.prepare_v3(s->handle, lua_tostring(L, DATABASE_SQL), -1,
                             SQLITE_PREPARE_PERSISTENT, &s->active, &rest);
    if (code != SQLITE_OK)
        return code;
    if (!s->active)
        error_usage(L, "db:run: there is no statement in the text");
    if (sqlite_has_more(s, rest))
        error_usage(L, "db:run: one statement a call: there is a second one behind it");
    if (s->kept < DATABASE_STATEMENTS_MAX) {
        lua_pushvalue(L, DATABASE_SQL);
        lua_pushlightuserdata(L, s->active);
        lua_rawset(L, -3);
        s->is_kept = true;
        s->kept++;
    }
    lua_pop(L, 1);
    return SQLITE_OK;
}

/* Binds the value at `index` to the place. The string stays on the stack while the statement runs. */
static int sqlite_bind_value(lua_State *L, const sqlite *s, int place, int index)
{
    size_t size;
    const char *text;
    switch (lua_type(L, index)) {
    case LUA_TBOOLEAN: return s->api.bind_int64(s->active, place, lua_toboolean(L, index));
    case LUA_TNUMBER:
        if (lua_isinteger(L, index))
            return s->api.bind_int64(s->active, place, lua_tointeger(L, index));
        return s->api.bind_double(s->active, place, lua_tonumber(L, index));
    case LUA_TSTRING:
        text = lua_tolstring(L, index, &size);
        return s->api.bind_text64(s->active, place, text, size, SQLITE_STATIC, SQLITE_UTF8);
    default: return s->api.bind_null(s->active, place);
    }
}

/* SQLite numbers parameters by their first place in the text; "$3" is a name for it. */
static int sqlite_bind(lua_State *L, const sqlite *s)
{
    int count = s->api.bind_parameter_count(s->active), given = lua_gettop(L) - DATABASE_SQL;
    long highest = 0;
    int code = SQLITE_OK;
    for (int place = 1; place <= count && code == SQLITE_OK; place++) {
        const char *name = s->api.bind_parameter_name(s->active, place);
        long number = name && name[0] == '$' ? strtol(name + 1, NULL, 10) : 0;
        if (number < 1)
            error_usage(L, "db:run: the parameters of a statement are $1, $2 and so on");
        if (number > given)
            error_usage(L, "db:run: there is no value for the parameter $%d", (int)number);
        highest = number > highest ? number : highest;
        code = sqlite_bind_value(L, s, place, DATABASE_SQL + (int)number);
    }
    if (highest < given)
        error_usage(L, "db:run: there are %d values for %d parameters", given, (int)highest);
    return code;
}

/* ---- rows ---- */

/* Pushes the value of a column of the row. False: not enough memory. [-0, +(0|1), m] */
static bool sqlite_push_column(lua_State *L, const sqlite *s, int column)
{
    const void *bytes;
    switch (s->api.column_type(s->active, column)) {
    case SQLITE_INTEGER: lua_pushinteger(L, s->api.column_int64(s->active, column)); return true;
    case SQLITE_FLOAT: lua_pushnumber(L, s->api.column_double(s->active, column)); return true;
    case SQLITE_NULL: lua_pushnil(L); return true;
    case SQLITE_TEXT:
        bytes = s->api.column_text(s->active, column); /* ended by a NUL: never NULL */
        break;
    default: bytes = s->api.column_blob(s->active, column); /* NULL: it is empty */
    }
    if (!bytes && s->api.extended_errcode(s->handle) == SQLITE_NOMEM)
        return false;
    lua_pushlstring(L, bytes ? bytes : "", (size_t)s->api.column_bytes(s->active, column));
    return true;
}

bool sqlite_add_row(lua_State *L, const sqlite *s, lua_Integer n)
{
    int columns = s->api.column_count(s->active);
    lua_createtable(L, 0, columns);
    for (int i = 0; i < columns; i++) {
        if (!sqlite_push_column(L, s, i)) {
            lua_pop(L, 1);
            return false;
        }
        lua_setfield(L, -2, s->api.column_name(s->active, i));
    }
    lua_rawseti(L, -2, n);
    return true;
}

int sqlite_step_all(lua_State *L, const sqlite *s)
{
    int code;
    for (lua_Integer n = 1; (code = s->api.step(s->active)) == SQLITE_ROW; n++)
        if (!sqlite_add_row(L, s, n))
            return SQLITE_NOMEM;
    return code;
}

/* Without a change the counter of SQLite still has that of an earlier statement. */
static lua_Integer sqlite_changes(const sqlite *s, sqlite3_int64 total)
{
    return s->api.total_changes64(s->handle) == total ? 0 : s->api.changes64(s->handle);
}

int sqlite_end_call(lua_State *L, sqlite *s, int code, sqlite3_int64 total)
{
    lua_Integer changed;
    if (code != SQLITE_DONE) {
        int results = sqlite_fail(L, s, "run", code);
        sqlite_leave_statement(s);
        if (code == SQLITE_INTERRUPT)
            interrupt_look(L);
        return results;
    }
    changed = sqlite_changes(s, total);
    sqlite_leave_statement(s);
    lua_pushinteger(L, changed);
    return 2;
}

/* The statement becomes the active one, with its parameters. */
static int sqlite_begin_call(lua_State *L, sqlite *s)
{
    int code;
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    sqlite_leave_statement(s); /* after an error that was thrown */
    s->cancels = loop_cancels(s->base.lp);
    code = sqlite_prepare(L, s);
    return code == SQLITE_OK ? sqlite_bind(L, s) : code;
}

static int sqlite_run(lua_State *L, database *d, bool is_slow)
{
    sqlite *s = (sqlite *)d;
    sqlite3_int64 total = s->api.total_changes64(s->handle);
    int code = sqlite_begin_call(L, s);
    lua_newtable(L);
    if (code == SQLITE_OK && is_slow)
        return sqlite_slow_run(L, s, total);
    if (code == SQLITE_OK)
        code = sqlite_step_all(L, s);
    return sqlite_end_call(L, s, code, total);
}
