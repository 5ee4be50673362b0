/* embed/last_error.h - what modalua_last_error and modalua_last_error_json return: the error of the
 * last call that failed, as text and as a JSON object. */
#ifndef EMBED_LAST_ERROR_H
#define EMBED_LAST_ERROR_H

#include "embed/runtime.h"

/* No call has failed. */
void last_error_clear(modalua_runtime *rt);

/* A call has failed with this status; nothing more is known, or there is no memory to say it. */
void last_error_set_status(modalua_runtime *rt, int status);

/* A call has failed with this status because of the error value at index; traceback is the index of
 * its traceback, or 0. When memory runs out meanwhile, the last error is that of
 * last_error_set_status. [-0, +0, v] */
void last_error_set(lua_State *L, modalua_runtime *rt, int status, int error, int traceback);

/* The source, of which the caller has `size` bytes (NULL = it has it not), does not compile because of
 * the error at index. [-0, +0, v] */
void last_error_set_syntax(lua_State *L, modalua_runtime *rt, int error, const char *source,
                           size_t size);

/* Pushes the JSON object of an error, as modalua_last_error_json has it, and leaves the last error as
 * it is. [-0, +1, v] */
void last_error_push_json(lua_State *L, int status, int error, int traceback);

/* The JSON object of an error of which only the status is known. Static. */
const char *last_error_status_json(int status);

/* A call has failed with this status and this message. [-0, +0, v] */
void last_error_set_message(lua_State *L, modalua_runtime *rt, int status, const char *message);

/* A call has got an invalid argument. Sets the last error, unless another call on rt is at work:
 * the last error is then that one's. rt may be NULL. Returns MODALUA_E_INVALID. */
int last_error_invalid_argument(modalua_runtime *rt);

#endif
