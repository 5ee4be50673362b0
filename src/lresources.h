/* lresources.h - transfers of what the caller names: C-GET, C-STORE, stores to peers, and the
 * C-MOVE of one resource. */
#ifndef LRESOURCES_H
#define LRESOURCES_H

#include <lua.h>

int lresources_get(lua_State *L);        /* modality:get(level, resources [, options]) */
int lresources_store(lua_State *L);      /* modality:store(ids [, options]) */
int lresources_peer_store(lua_State *L); /* peer:store(ids [, options]) */

/* For what is written in Lua: modality:move_resources, and the children of answers. */
int lresources_move_options(lua_State *L); /* (options) -> max | nil */
int lresources_move_one(lua_State *L);     /* (modality, level, resource, options), as the others */
int lresources_identifiers(
    lua_State *L);                  /* (op, level, resources) -> list of unique keys | nil, err */
int lresources_value(lua_State *L); /* (row, tag's name) -> string | nil, of whichever format */

#endif
