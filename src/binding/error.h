/* binding/error.h - the error object: a table with the fields kind, code, message, op, method,
 * path, where, status, orthanc_status, details, dimse_status, job, result and retryable, each only
 * when it has a value, and a metatable with __tostring. A message is one line, and harmless for a
 * terminal (base/shown.h), whatever the caller or the server gave. */
#ifndef BINDING_ERROR_H
#define BINDING_ERROR_H

#include <lua.h>
#include <stdbool.h>

#include "base/shown.h"

/* ---- making ---- */

/* Pushes an error object. kind and code are static strings; code may be NULL. The message is
 * formatted as by lua_pushfstring. The field `where` is the innermost line of the script.
 * [-0, +1, m] */
void error_new(lua_State *L, const char *kind, const char *code, const char *format, ...);

/* Replaces the message on the top by an error object with that message. [-1, +1, m] */
void error_from_message(lua_State *L, const char *kind, const char *code);

/* Sets a field of the error object on the top. NULL sets nothing. [-0, +0, m] */
void error_set(lua_State *L, const char *field, const char *value);
void error_set_integer(lua_State *L, const char *field, lua_Integer value);

/* ---- throwing ---- */

/* Throws a new error object. [-0, +0, v] */
_Noreturn void error_throw(lua_State *L, const char *kind, const char *code, const char *format,
                           ...);

/* Throws a string, for a mistake in the call itself. Unlike luaL_error it names the innermost line
 * of the script, also when the Lua half made the call. [-0, +0, v] */
_Noreturn void error_usage(lua_State *L, const char *format, ...);

/* lua_error, which Lua's header does not declare as never returning. [-1, +0, v] */
_Noreturn void error_raise(lua_State *L);

/* ---- asking ---- */

/* Fills short_src and currentline with the innermost line of a script that L is in. False: L is in none. Needs
 * no memory. [-0, +0, -] */
bool error_find_line(lua_State *L, lua_Debug *ar);

/* Whether the value is an error object; of that kind; with that code. [-0, +0, -] */
bool error_is(lua_State *L, int index);
bool error_is_kind(lua_State *L, int index, const char *kind);
bool error_is_code(lua_State *L, int index, const char *code);

/* ---- any error value ---- */

/* Pushes the text of an error value: a string as it is, what __tostring returns or throws, the message of a table with
 * its kind and code; otherwise its type. [-0, +1, m] */
void error_push_text(lua_State *L, int index);

/* ---- helpers ---- */

/* Replaces the string on the top by one that is harmless for a terminal. [-1, +1, m] */
void error_make_shown(lua_State *L, shown_style style);

/* Pushes the text with the user names and passwords of its URLs redacted. [-0, +1, m] */
void error_push_redacted(lua_State *L, const char *text);

/* ---- for Lua ---- */

/* fail(op, kind, code, message) -> err: makes an error object. */
int error_l_fail(lua_State *L);

/* usage(message): error_usage. */
int error_l_usage(lua_State *L);

/* is_usage(v) -> boolean: whether the value is the text that error_usage threw last. */
int error_l_is_usage(lua_State *L);

/* is_error(v) -> boolean, for scripts too. */
int error_l_is(lua_State *L);

/* error_text(v) -> string, for scripts too: the text of an error value on one line. */
int error_l_text(lua_State *L);

#endif
