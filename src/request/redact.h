/* request/redact.h - the records of jobs and the entries of other servers hold secrets: the password in a
 * URL, those of a peer's settings, the values of its HTTP headers. This is the one place where an
 * answer with such records is taken in: response_push removes them before anything else sees it. */
#ifndef REQUEST_REDACT_H
#define REQUEST_REDACT_H

#include <lua.h>
#include <stdbool.h>

/* Whether answers of the path can have secrets: a segment of it is the list of jobs or of servers. The
 * path of the server's URL counts too. */
bool redact_is_needed(const char *server_path, const char *path);

/* Replaces the secrets in the table at index, at any depth, by "…". Does nothing to another value.
 * [-0, +0, v] */
void redact_value(lua_State *L, int index);

#endif
