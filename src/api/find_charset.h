/* api/find_charset.h - the character set of the filters of a C-FIND. Orthanc removes characters that
 * its DefaultEncoding does not have, which makes the search broader, unless the query names the
 * character set to send it in: DICOM PS3.3 C.12.1.1.2. */
#ifndef API_FIND_CHARSET_H
#define API_FIND_CHARSET_H

#include <lua.h>
#include <stdbool.h>

#include "request/call.h"

/* Whether the character set that the caller chose may not have all characters of the query at index.
 * nil and an error are pushed then. [-0, +(0|2), m] */
bool find_charset_refuse(lua_State *L, const call *c, int query, const char *charset);

/* For steps: adds a character set to data.body.Query, which is not ASCII: the server's own one or
 * UTF-8. Then goes on with `next`. */
int find_charset_choose(lua_State *L, call *c, call_step next);

/* For steps: adds what find_charset_choose has to report to the warning on the top, which may be nil.
 * [-0, +0, m] */
void find_charset_add_note(lua_State *L, const call *c);

#endif
