/* request/response.h - the outcome of a request: an answer as a Lua value, a failure as an error
 * object. */
#ifndef REQUEST_RESPONSE_H
#define REQUEST_RESPONSE_H

#include <lua.h>

#include "engine/loop.h"
#include "orthanc/dimse.h"
#include "request/shape.h"

/* Pushes the outcome of the op's transfer, which has ended, and returns the number of values: the
 * value of a 2xx answer (JSON decoded, anything else as a string), or nil and an error object. The error
 * of a request that may have had effects has the kind "unknown". Throws kind "limit" when the answer did
 * not fit into memory. [-0, +(1|2), v] */
int response_push(lua_State *L, op *o);

/* The same for a route whose answer is never HTML: such a page is an error of kind "decode".
 * [-0, +(1|2), v] */
int response_push_data(lua_State *L, op *o);

/* The same for an answer that has a shape: any other answer is an error of kind "decode", or, when the
 * request may have had effects, "unknown" with the code "decode". [-0, +(1|2), v] */
int response_push_shape(lua_State *L, op *o, shape s);

/* Pushes nil and the error for an answer that differs from what it should be, in the words of
 * shape_differs; returns 2. [-0, +2, m] */
int response_fail_shape(lua_State *L, const op *o, const char *difference);

/* Pushes such an error for an answer to a request that is over. [-0, +1, m] */
void response_push_unexpected(lua_State *L, const char *method, const char *path,
                              const char *difference);

/* The DIMSE status in the ErrorPayload of the table at index: an error body, or the record of a job
 * (1.12.10 and later). -1 = none. [-0, +0, -] */
int response_payload_dimse(lua_State *L, int index);

/* Makes the error on the top one of kind "unknown": the server may have done what was asked for. The
 * code becomes the cause: the kind that the error had. [-0, +0, m] */
void response_set_unknown(lua_State *L);

/* Adds to the message of the error on the top what to check: what the DIMSE status means (`dimse` above
 * 0), or else what Orthanc's Details (or NULL) say about the exchange with the modality. [-0, +0, m] */
void response_add_dicom_words(lua_State *L, int dimse, dimse_service service, const char *details);

/* Pushes a server's text as one line, and only its beginning when it is long. [-0, +1, m] */
void response_push_quoted(lua_State *L, const char *text, size_t size);

/* Pushes nil and an error object about the op's request; returns 2. [-0, +2, m] */
int response_fail(lua_State *L, const op *o, const char *kind, const char *message);

/* The same for an archive that has no end (base/zip.h). */
int response_fail_cut(lua_State *L, const op *o);

#endif
