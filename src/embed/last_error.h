/* embed/last_error.h - what a call of the host's leaves behind for it: results, and what went wrong, as text
 * and as JSON. */
#ifndef EMBED_LAST_ERROR_H
#define EMBED_LAST_ERROR_H

#include "embed/runtime.h"

/* Places in the registry. They always exist, so that setting them cannot fail. */
enum {
    LAST_ERROR_ROOT,
    LAST_ERROR_ERROR,
    LAST_ERROR_ERROR_JSON,
    LAST_ERROR_JSON,
    LAST_ERROR_GLOBAL,
    LAST_ERROR_PLACES
};
extern const char last_error_places[LAST_ERROR_PLACES];

/* Makes them. [-0, +0, m] */
void last_error_open(lua_State *L);

/* Keeps the string on the top in one of them. [-1, +0, -] */
const char *last_error_keep(lua_State *L, int place);

/* Nothing has gone wrong yet; or this has, of which nothing else can be said. */
void last_error_clear(modalua_runtime *rt);
void last_error_plain_error(modalua_runtime *rt, int status);

/* An argument cannot be: notes it, unless a call is at work, whose affair the error is. rt may be
 * NULL. Returns MODALUA_E_INVALID. */
int last_error_invalid(modalua_runtime *rt);

/* This has: the error value at index, with its traceback (0 = none). Should there be no memory to
 * say so, the plain error stays. [-0, +0, v] */
void last_error_error(lua_State *L, modalua_runtime *rt, int status, int error, int traceback);

#endif
