/* api/get_and_store.h - transfers of what the caller names: C-GET, C-STORE, stores to peers, and the
 * C-MOVE of one resource. */
#ifndef API_GET_AND_STORE_H
#define API_GET_AND_STORE_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

#include "binding/options.h"

/* Options, beside the keys of the routes. */
extern const option get_and_store_rows[];      /* of get and store */
extern const option get_and_store_peer_rows[]; /* of a store to a peer */
extern const option get_and_store_move_rows[]; /* of move_resources */

int get_and_store_get(lua_State *L);        /* modality:get(level, resources [, options]) */
int get_and_store_store(lua_State *L);      /* modality:store(ids [, options]) */
int get_and_store_peer_store(lua_State *L); /* peer:store(ids [, options]) */

/* Checks the identifier on the top, resource number n, as one that Orthanc has given. False: a
 * message is pushed. Throws when it is no string. [-0, +(0|1), v] */
bool get_and_store_check_stored(lua_State *L, const char *function, lua_Integer n);

/* Pushes the value of a tag in the row at index, an answer in whichever format; false when it has
 * none. [-0, +(0|1), v] */
bool get_and_store_push_tag(lua_State *L, int row, uint32_t tag);

/* For what is written in Lua: modality:move_resources, and the children of answers. */
int get_and_store_move_options(lua_State *L); /* (options) -> max | nil */
int get_and_store_move_one(lua_State *L); /* (modality, level, resource, options), as the others */
int get_and_store_identifiers(
    lua_State *L); /* (op, level, resources) -> list of unique keys | nil, err */
int get_and_store_value(lua_State *L); /* (row, tag's name) -> string | nil, of whichever format */

#endif
