/* request/single_request.h - an operation of one request, and the paths of requests. */
#ifndef REQUEST_SINGLE_REQUEST_H
#define REQUEST_SINGLE_REQUEST_H

#include <lua.h>
#include <stdbool.h>

#include "engine/op.h"
#include "request/shape.h"

/* `return op_run(L, &x->op);` runs it. Its outcome is the one of response_push_shape (response.h). */
typedef struct single_request {
    op op;
    http_server *server;
    http_request request;
    bool any_answer; /* the outcome of response_push: the script chose the path, so HTML is fine */
    shape shape;     /* of the answer */
} single_request;

/* Pushes the path at index, percent-encoded, with the query in the table at index `query` (0 or nil =
 * none). Throws on wrong types. [-0, +1, v] */
void single_request_push_path(lua_State *L, int path, int query);

/* Pops the path on the top and pushes a request to the server; the userdata at index `owner` keeps
 * the server alive. Every method but GET has side effects. timeout: seconds, 0 = no limit. `name` is
 * the function that the script called, for errors. [-1, +1, m] */
single_request *single_request_new(lua_State *L, loop *lp, int owner, http_server *server,
                                   double timeout, const char *name, const char *method);

/* The op's `advance`, for an `advance` that changes the answer. */
int single_request_advance(lua_State *L, op *o);

/* Sets the body of the request on the top to the value at index: a table is sent as JSON, a string
 * as it is, nil means no body. False: the table cannot be encoded, or the body would end the server (orthanc/body_keys.h),
 * and nil and an error of kind "refused" are pushed. Throws on other types. [-0, +(0|2), v] */
bool single_request_set_body(lua_State *L, single_request *x, int index);

#endif
