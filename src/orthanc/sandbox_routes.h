/* orthanc/sandbox_routes.h - the routes and headers that a sandboxed script may use with client:get,
 * post, put and delete. It may read every route, and write to routes of data, queries, jobs and
 * remotes, but not to routes that change the server. Knows no Lua. Source: the routes of Orthanc
 * 1.10.1, 1.12.7 and 1.13.0. */
#ifndef ORTHANC_SANDBOX_ROUTES_H
#define ORTHANC_SANDBOX_ROUTES_H

#include <stdbool.h>

/* Why a sandboxed script may not send this request; NULL = it may. The path is that from the root of the
 * server which the host allows. It begins with '/'; it can be percent-encoded and have a query. */
const char *orthanc_route_refusal(const char *method, const char *path);

/* The same for a request of one of our operations, which has checked its body: it names no host. */
const char *orthanc_operation_refusal(const char *method, const char *path);

/* Why a server or proxy may read another path out of this one ("a/../b"); NULL = it does not. */
const char *orthanc_path_fault(const char *path);

/* Whether a header of that name cannot change where the request goes, where it ends, its method, or the
 * client that a proxy takes it from. */
bool orthanc_is_harmless_header(const char *name);

#endif
