/* api/move.h - C-MOVE of the answers of a query: the arguments and the request. core.moves of the Lua
 * half decides what may be moved, and looks after the outcome. */
#ifndef API_MOVE_H
#define API_MOVE_H

#include <lua.h>

#include "binding/options.h"
#include "engine/loop.h"

extern const option move_rows[]; /* of move, beside the keys of its route */

/* Throw when the arguments of modality:move(query [, options]), or of query:move([options [, index]]),
 * are wrong. Return 0. [-0, +0, v] */
int move_check_modality(lua_State *L);
int move_check_query(lua_State *L);

/* For the Lua half. */
int move_facts(lua_State *L);    /* (client, query) -> id, facts | nil */
int move_is_broad(lua_State *L); /* (filter, level) -> boolean */
int move_retrieve(lua_State *L); /* (modality, options, more) -> as transfer_make_part */

#endif
