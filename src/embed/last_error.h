/* embed/last_error.h - what a call of the host's leaves behind for it: results, and what went wrong, as text
 * and as JSON. */
#ifndef EMBED_LAST_ERROR_H
#define EMBED_LAST_ERROR_H

#include "embed/runtime.h"

/* Places in the registry. They always exist, so that setting them cannot fail. */
enum { REPORT_ROOT, REPORT_ERROR, REPORT_ERROR_JSON, REPORT_JSON, REPORT_GLOBAL, REPORT_PLACES };
extern const char report_places[REPORT_PLACES];

/* Makes them. [-0, +0, m] */
void report_open(lua_State *L);

/* Keeps the string on the top in one of them. [-1, +0, -] */
const char *report_keep(lua_State *L, int place);

/* Nothing has gone wrong yet; or this has, of which nothing else can be said. */
void report_clear(modalua_runtime *rt);
void report_plain_error(modalua_runtime *rt, int status);

/* An argument cannot be: notes it, unless a call is at work, whose affair the error is. rt may be
 * NULL. Returns MODALUA_E_INVALID. */
int report_invalid(modalua_runtime *rt);

/* This has: the error value at index, with its traceback (0 = none). Should there be no memory to
 * say so, the plain error stays. [-0, +0, v] */
void report_error(lua_State *L, modalua_runtime *rt, int status, int error, int traceback);

#endif
