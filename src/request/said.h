/* request/said.h - a value of a server's answer, as an error message repeats it. */
#ifndef REQUEST_SAID_H
#define REQUEST_SAID_H

#include <lua.h>

/* Pushes a text for the value at index: a string in quotes, as one line and only its beginning; a number or
 * boolean; "null" (json.null); "missing" (nil); or its type. [-0, +1, m] */
const char *said_push(lua_State *L, int index);

/* said(v) -> text. The same for the Lua half. */
int said_l_said(lua_State *L);

#endif
