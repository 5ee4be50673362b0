/* embed/patterns.h - string.find, match, gmatch and gsub. They give what Lua's own give, and a run can be
 * stopped inside them. */
#ifndef EMBED_PATTERNS_H
#define EMBED_PATTERNS_H

#include <lua.h>

/* Replaces them in the table `string` of the globals. [-0, +0, m] */
void patterns_open(lua_State *L);

#endif
