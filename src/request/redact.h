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

#define REDACT_MESSAGE \
    "the body has '…' in the place of a secret, as answers show it; give the secret itself"

/* Whether the body of a request to such a path has a secret as answers show it: the server would store
 * "…" in its place. */
bool redact_is_in(const char *server_path, const char *path, const char *body, size_t size);

/* Replaces the secrets in the table at index, at any depth, by "…". Does nothing to another value.
 * [-0, +0, v] */
void redact_value(lua_State *L, int index);

#endif
