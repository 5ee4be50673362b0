/* api/find_charset.h - letters beyond ASCII in the filters of a C-FIND. Orthanc takes out those that its
 * DefaultEncoding lacks, and the search becomes broader, unless the query says in which character
 * set it is to be sent: DICOM PS3.3 C.12.1.1.2. */
#ifndef API_FIND_CHARSET_H
#define API_FIND_CHARSET_H

#include <lua.h>
#include <stdbool.h>

#include "request/call.h"

/* A character set that the caller chose, and that cannot hold the filters of the query at index,
 * saves nothing. True: it is so, and nil and an error are pushed. [-0, +(0|2), m] */
bool find_charset_refuse(lua_State *L, const call *c, int query, const char *charset);

/* For steps: says in data.body.Query, whose filters are not ASCII, the character set that they are
 * to be sent in, the server's own or UTF-8, then goes on with `next`. */
int find_charset_choose(lua_State *L, call *c, call_step next);

/* Puts what find_charset_choose has to tell before the warning on the top, which may be nil.
 * [-0, +0, m] */
void find_charset_add_note(lua_State *L, const call *c);

#endif
