/* orthanc/sandbox_routes.h - which routes a sandboxed script may use by itself (client:get, post, put,
 * delete): those of the data, not those of the server; and which headers. Knows no Lua.
 * Source: the routes of Orthanc 1.10.1, 1.12.7 and 1.13.0. */
#ifndef ORTHANC_SANDBOX_ROUTES_H
#define ORTHANC_SANDBOX_ROUTES_H

#include <stdbool.h>

/* NULL: it may; else why not. The path begins with '/', may be percent-encoded and have a query.
 * What it reads is the server's to allow; what it changes is data, queries, jobs and what
 * modalities are asked to do. */
const char *orthanc_out_of_reach(const char *method, const char *path);

/* NULL, or why a server may take the path for another one. */
const char *orthanc_crooked(const char *path);

/* Whether a header of that name leaves a request what its method, URL and body say. */
bool orthanc_is_plain_header(const char *name);

#endif
