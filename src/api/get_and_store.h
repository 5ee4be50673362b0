/* api/get_and_store.h - transfers of resources that the caller names: C-GET, C-STORE, stores to
 * peers, and the C-MOVE of one resource. */
#ifndef API_GET_AND_STORE_H
#define API_GET_AND_STORE_H

#include <lua.h>

#include "binding/options.h"

/* Options, beside the keys of the routes. */
extern const option get_and_store_rows[];      /* of get and store */
extern const option get_and_store_peer_rows[]; /* of a store to a peer */
extern const option get_and_store_move_rows[]; /* of move_resources */

int get_and_store_store(lua_State *L);      /* modality:store(ids [, options]) */
int get_and_store_peer_store(lua_State *L); /* peer:store(ids [, options]) */

/* For the Lua half. */
int get_and_store_get(lua_State *L);          /* modality:get, without a look at the patients */
int get_and_store_move_options(lua_State *L); /* (options) -> max | nil */
int get_and_store_move_one(lua_State *L);     /* (modality, level, resources, options, more) */

#endif
