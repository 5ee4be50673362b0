/* binding/userdata.h - the types of our userdata: their metatables. */
#ifndef BINDING_USERDATA_H
#define BINDING_USERDATA_H

#include <lauxlib.h>

#include "engine/loop.h"

/* Makes the metatable of a type known to the state, once, from the metamethods in `meta` and the
 * table of methods that is on the top, and stays. The metamethods find the loop by ldoc_loop and
 * the methods by LTYPE_METHODS; without an __index among them the methods are it. [-0, +0, m] */
void ltype_open(lua_State *L, loop *lp, const char *type, const luaL_Reg *meta);

#define LTYPE_METHODS lua_upvalueindex(2)

/* For an __index: the method whose name is at index 2. Returns 1. [-0, +1, -] */
int ltype_method(lua_State *L);

#endif
