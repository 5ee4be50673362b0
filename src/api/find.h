/* api/find.h - C-FIND on a modality. */
#ifndef API_FIND_H
#define API_FIND_H

#include <lua.h>

#include "binding/options.h"

extern const option find_rows[]; /* of find, beside the keys of its route */

int find_find(lua_State *L);              /* modality:find(data [, format]) */
int find_once(lua_State *L);              /* for the Lua half: find, which fails as a whole */
int find_get_query_answers(lua_State *L); /* modality:get_query_answers(query [, format]) */

#endif
