/* api/get_and_store.h - transfers of what the caller names: C-GET, C-STORE, stores to peers, and the
 * C-MOVE of one resource. */
#ifndef API_GET_AND_STORE_H
#define API_GET_AND_STORE_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

int lresources_get(lua_State *L);        /* modality:get(level, resources [, options]) */
int lresources_store(lua_State *L);      /* modality:store(ids [, options]) */
int lresources_peer_store(lua_State *L); /* peer:store(ids [, options]) */

/* Checks the identifier on the top, resource number n, as one that Orthanc has given. False: a
 * message is pushed. Throws when it is no string. [-0, +(0|1), v] */
bool lresources_check_stored(lua_State *L, const char *function, lua_Integer n);

/* Pushes the value of a tag in the row at index, an answer in whichever format; false when it has
 * none. [-0, +(0|1), v] */
bool lresources_push_tag(lua_State *L, int row, uint32_t tag);

/* For what is written in Lua: modality:move_resources, and the children of answers. */
int lresources_move_options(lua_State *L); /* (options) -> max | nil */
int lresources_move_one(lua_State *L);     /* (modality, level, resource, options), as the others */
int lresources_identifiers(
    lua_State *L);                  /* (op, level, resources) -> list of unique keys | nil, err */
int lresources_value(lua_State *L); /* (row, tag's name) -> string | nil, of whichever format */

#endif
