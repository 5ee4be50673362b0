/* binding/userdata.h - the metatables of modalua's userdata types. */
#ifndef BINDING_USERDATA_H
#define BINDING_USERDATA_H

#include <lauxlib.h>

#include "binding/fields.h"

struct loop;

/* Makes the metatable of a type, unless the state has it already. On the top is the table of
 * methods; it stays there. `meta` are the metamethods, with __index among them; they find the loop by
 * doc_loop and the methods at USERDATA_METHODS. `kind` outlives the state. [-0, +0, m] */
void userdata_open(lua_State *L, struct loop *lp, const char *type, const object_kind *kind,
                   const luaL_Reg *meta);

#define USERDATA_METHODS lua_upvalueindex(2)
enum { USERDATA_UPVALUES = 2 };

/* For a metamethod __index: replaces the name at index 2 by the method with that name, and returns 1.
 * Ends as fields_end_index does when there is none. [-1, +1, v] */
int userdata_method(lua_State *L);

/* Pushes a new table whose keys ("k") or values ("v") are weak. [-0, +1, m] */
void userdata_push_weak_table(lua_State *L, const char *mode);

#endif
