/* request/single_request.h - the operation of one request and one answer, and the paths that requests go to. */
#ifndef REQUEST_SINGLE_REQUEST_H
#define REQUEST_SINGLE_REQUEST_H

#include <lua.h>
#include <stdbool.h>

#include "engine/op.h"

/* An op for `return op_run(L, &x->op);`: its outcome is that of response_push_data, or of
 * response_push. */
typedef struct single_request {
    op op;
    http_server *server;
    http_request request;
    bool any_answer; /* also a page of HTML: the path is the caller's */
} single_request;

/* Pushes the path at index, percent-encoded, with the query of the table at `query` (0 or nil =
 * none). Throws when they cannot be.
 * [-0, +1, v] */
void single_request_push_path(lua_State *L, int path, int query);

/* Pushes an exchange with a server that the userdata at `owner` keeps, for the path that is on the
 * top, and which it takes. What is not a GET has side effects. timeout: seconds, 0 = no limit.
 * name: the operation, for errors. [-1, +1, m] */
single_request *single_request_new(lua_State *L, loop *lp, int owner, http_server *server,
                                   double timeout, const char *name, const char *method);

/* The advance of an exchange, for those that change its answer. */
int single_request_advance(lua_State *L, op *o);

/* Gives the exchange on the top the body at index: a table as JSON, a string as it is, nil as none.
 * False: the data cannot be sent, and nil and an error of kind "refused" are pushed: `return 2;`.
 * Throws on other types. [-0, +(0|2), v] */
bool single_request_set_body(lua_State *L, single_request *x, int index);

#endif
