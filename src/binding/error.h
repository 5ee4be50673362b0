/* binding/error.h - the error object: a table with the fields kind, code, message, op, method, path,
 * where, status, orthanc_status, details, dimse_status, job, result, retryable, each only when
 * there is one, and a metatable with __tostring. */
#ifndef BINDING_ERROR_H
#define BINDING_ERROR_H

#include <lua.h>
#include <stdbool.h>

/* Pushes an error object. kind and code are static strings (code may be NULL); the message is
 * formatted as lua_pushfstring does; `where` is the innermost script line that called. [-0, +1, m]
 */
void error_new(lua_State *L, const char *kind, const char *code, const char *format, ...);

/* The same of the message on the top, which the object replaces. [-1, +1, m] */
void error_from_message(lua_State *L, const char *kind, const char *code);

/* Throws one. [-0, +0, v] */
_Noreturn void error_throw(lua_State *L, const char *kind, const char *code, const char *format,
                           ...);

/* Throws a string, for a mistake in the call itself: as luaL_error, but the place is the innermost
 * line of the script, also when the call came through our Lua half. [-0, +0, v] */
_Noreturn void error_usage(lua_State *L, const char *format, ...);

/* lua_error, which Lua's header does not declare as never returning. [-1, +0, v] */
_Noreturn void error_raise(lua_State *L);

/* Sets a string field of the error object on the top; NULL sets nothing. [-0, +0, m] */
void error_set(lua_State *L, const char *field, const char *value);

/* Pushes the text, without the user names and passwords of the URLs in it. [-0, +1, m] */
void error_push_public(lua_State *L, const char *text);

/* Sets an integer field of it. [-0, +0, m] */
void error_set_integer(lua_State *L, const char *field, lua_Integer value);

/* For the Lua half: fail(op, kind, code, message) -> err, an error object; and usage(message),
 * which throws it for a mistake in the call. */
int error_fail(lua_State *L);
int error_blame(lua_State *L);

/* is_error(v) -> boolean, for scripts and for the Lua half. */
int error_is_error(lua_State *L);

/* Whether the value is an error object. [-0, +0, -] */
bool error_is(lua_State *L, int index);

/* Whether it is one of that kind, or with that code. [-0, +0, -] */
bool error_is_kind(lua_State *L, int index, const char *kind);
bool error_is_code(lua_State *L, int index, const char *code);

#endif
