#include "database/postgres_values.h"

#include <ctype.h>
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "binding/error.h"
#include "database/database.h"

/* Types of columns, from PostgreSQL's pg_type.dat, where they never change. */
enum {
    OID_BOOL = 16,
    OID_INT8 = 20,
    OID_INT2 = 21,
    OID_INT4 = 23,
    OID_OID = 26,
    OID_FLOAT4 = 700,
    OID_FLOAT8 = 701,
    OID_NUMERIC = 1700
};

/* ---- parameters ---- */

/* Pushes the text of a value that is not nil. [-0, +1, m] */
static void postgres_push_text(lua_State *L, int index)
{
    char digits[40];
    if (lua_isboolean(L, index)) {
        lua_pushstring(L, lua_toboolean(L, index) ? "t" : "f");
    } else if (lua_type(L, index) == LUA_TNUMBER && !lua_isinteger(L, index)) {
        snprintf(digits, sizeof digits, "%.17g", lua_tonumber(L, index));
        lua_pushstring(L, digits);
    } else {
        lua_pushvalue(L, index);
        lua_tostring(L, -1);
    }
}

const char *const *postgres_push_parameters(lua_State *L, int first, int *bad)
{
    int count = lua_gettop(L) - first + 1;
    const char **texts = lua_newuserdatauv(L, ((size_t)count + 1) * sizeof *texts, 0);
    for (int i = 0; i < count; i++) {
        texts[i] = NULL;
        if (lua_isnil(L, first + i))
            continue;
        postgres_push_text(L, first + i);
        lua_replace(L, first + i);
        texts[i] = lua_tostring(L, first + i);
        if (strlen(texts[i]) != lua_rawlen(L, first + i)) {
            lua_pop(L, 1);
            *bad = i + 1;
            return NULL;
        }
    }
    return texts;
}

/* ---- rows ---- */

/* Pushes the value of a text that PostgreSQL writes for the type. [-0, +1, m] */
static void postgres_push_value(lua_State *L, Oid type, const char *text, size_t size)
{
    switch (type) {
    case OID_BOOL: lua_pushboolean(L, text[0] == 't'); return;
    case OID_INT2:
    case OID_INT4:
    case OID_INT8:
    case OID_OID: lua_pushinteger(L, strtoll(text, NULL, 10)); return;
    case OID_FLOAT4:
    case OID_FLOAT8: lua_pushnumber(L, strtod(text, NULL)); return;
    case OID_NUMERIC: /* a sum of integers is one; NaN stays a text */
        if (lua_stringtonumber(L, text) == size + 1)
            return;
        break;
    default: break;
    }
    lua_pushlstring(L, text, size);
}

/* The number behind INSERT, UPDATE, DELETE or MERGE in the tag of the command. */
static lua_Integer postgres_changed(const postgres_functions *api, PGresult *result)
{
    static const char *const words[] = { "INSERT", "UPDATE", "DELETE", "MERGE" };
    const char *tag = api->cmdStatus(result);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strncmp(tag, words[i], strlen(words[i])) == 0)
            return strtoll(api->cmdTuples(result), NULL, 10);
    return 0;
}

void postgres_push_rows(lua_State *L, const postgres_functions *api, const PGresult *result)
{
    int rows = api->ntuples(result), columns = api->nfields(result);
    lua_createtable(L, rows, 0);
    for (int row = 0; row < rows; row++) {
        lua_createtable(L, 0, columns);
        for (int i = 0; i < columns; i++) {
            if (api->getisnull(result, row, i))
                continue;
            postgres_push_value(L, api->ftype(result, i), api->getvalue(result, row, i),
                                (size_t)api->getlength(result, row, i));
            lua_setfield(L, -2, api->fname(result, i));
        }
        lua_rawseti(L, -2, row + 1);
    }
    lua_pushinteger(L, postgres_changed(api, (PGresult *)result));
}

/* ---- errors ---- */

/* Whether the same can succeed later: the connection was lost or could not be made (08), the server has no room
 * for it (53) or is starting or stopping (57P), or transactions were in each other's way (40, 55P03), or it took too long (57014). */
static bool postgres_is_retryable(const char *sqlstate)
{
    static const char *const classes[] = { "08", "40", "53300", "55P03", "57014", "57P" };
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++)
        if (strncmp(sqlstate, classes[i], strlen(classes[i])) == 0)
            return true;
    return false;
}

int postgres_fail(lua_State *L, const char *function, const char *sqlstate, int place)
{
    lua_pushfstring(L, "%s: %s", lua_tostring(L, place), lua_tostring(L, -1));
    lua_remove(L, -2);
    database_fail(L, function, sqlstate);
    lua_createtable(L, 0, 3);
    lua_pushstring(L, sqlstate);
    lua_setfield(L, -2, "sqlstate");
    lua_setfield(L, -2, "details");
    if (postgres_is_retryable(sqlstate)) {
        lua_pushboolean(L, 1);
        lua_setfield(L, -2, "retryable");
    }
    return 2;
}

/* Sets a field of the error's details, which are on the top. [-0, +0, m] */
static void postgres_set_detail(lua_State *L, const char *name, const char *value)
{
    if (!value)
        return;
    lua_pushstring(L, value);
    lua_setfield(L, -2, name);
}

/* What the server calls the detail is left out: it repeats values. */
int postgres_fail_result(lua_State *L, const postgres_functions *api, const PGresult *result,
                         int place)
{
    const char *sqlstate = api->resultErrorField(result, PG_DIAG_SQLSTATE);
    const char *message = api->resultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    lua_pushstring(L, message ? message : "the connection was lost");
    postgres_fail(L, "run", sqlstate ? sqlstate : POSTGRES_LOST, place);
    lua_getfield(L, -1, "details");
    postgres_set_detail(L, "severity",
                        api->resultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED));
    postgres_set_detail(L, "constraint", api->resultErrorField(result, PG_DIAG_CONSTRAINT_NAME));
    lua_pop(L, 1);
    return 2;
}

/* Finds "SEVERITY:  SQLSTATE: " in a message; returns the SQLSTATE, or NULL. */
static const char *postgres_find_sqlstate(const char *message)
{
    enum { DIGITS = 5 };
    for (const char *at = message; (at = strstr(at, ":  ")); at++) {
        const char *digits = at + 3;
        size_t i = 0;
        while (i < DIGITS &&
               (isdigit((unsigned char)digits[i]) || isupper((unsigned char)digits[i])))
            i++;
        if (i == DIGITS && digits[DIGITS] == ':' && digits[DIGITS + 1] == ' ')
            return digits;
    }
    return NULL;
}

/* Adds a text with one blank in place of line ends and the blanks around them. */
static void postgres_add_line(luaL_Buffer *b, const char *text, size_t size)
{
    bool is_blank = false;
    while (size > 0 && isspace((unsigned char)text[size - 1]))
        size--;
    for (size_t i = 0; i < size; i++) {
        bool was_blank = is_blank;
        is_blank = isspace((unsigned char)text[i]) != 0;
        if (!is_blank)
            luaL_addchar(b, text[i]);
        else if (!was_blank)
            luaL_addchar(b, ' ');
    }
}

int postgres_fail_message(lua_State *L, const char *function, const char *sqlstate,
                          const char *message, int place)
{
    lua_pushlstring(L, message, strcspn(message, "\n"));
    return postgres_fail(L, function, sqlstate, place);
}

int postgres_fail_connect(lua_State *L, const char *function, const char *message, int place)
{
    const char *code = postgres_find_sqlstate(message), *end = strstr(message, "\nLOCATION:");
    char sqlstate[6] = POSTGRES_CANNOT_CONNECT;
    luaL_Buffer b;
    if (!end)
        end = message + strlen(message);
    if (code)
        memcpy(sqlstate, code, sizeof sqlstate - 1);
    luaL_buffinit(L, &b);
    if (code && code < end) {
        postgres_add_line(&b, message, (size_t)(code - message));
        luaL_addchar(&b, ' ');
        message = code + strlen("00000: ");
    }
    postgres_add_line(&b, message, (size_t)(end - message));
    luaL_pushresult(&b);
    return postgres_fail(L, function, sqlstate, place);
}
