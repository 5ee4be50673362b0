/* request/response.h - what came back: answers as Lua values, failures as error objects. */
#ifndef REQUEST_RESPONSE_H
#define REQUEST_RESPONSE_H

#include <lua.h>

#include "engine/loop.h"

/* The outcome of the op's finished transfer: pushes the value of a 2xx answer (JSON decoded,
 * anything else as a string), or nil and an error object; returns how many. Throws kind "limit"
 * when the answer did not fit. [-0, +(1|2), v] */
int response_push(lua_State *L, op *o);

/* The same, where Orthanc's answer is never a page of HTML: one is an error of kind "decode".
 * [-0, +(1|2), v] */
int response_push_data(lua_State *L, op *o);

/* The DIMSE status in the ErrorPayload of the table at index, an error's body or a job's record, as
 * 1.12.10 and later write it; -1 when it names none. [-0, +0, -] */
int response_payload_dimse(lua_State *L, int index);

/* Pushes nil and an error object of that kind for the op's request; returns 2. [-0, +2, m] */
int response_fail(lua_State *L, const op *o, const char *kind, const char *message);

/* The same of an archive that has no end (zip.h). */
int response_cut(lua_State *L, const op *o);

#endif
