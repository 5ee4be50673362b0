/* binding/userdata.h - the types of our userdata: their metatables. */
#ifndef BINDING_USERDATA_H
#define BINDING_USERDATA_H

#include <lauxlib.h>

struct loop;

/* Makes the metatable of a type known to the state, once, from the metamethods in `meta` and the
 * table of methods that is on the top, and stays. The metamethods find the loop by doc_loop and
 * the methods by USERDATA_METHODS; without an __index among them the methods are it. [-0, +0, m] */
void userdata_open(lua_State *L, struct loop *lp, const char *type, const luaL_Reg *meta);

#define USERDATA_METHODS lua_upvalueindex(2)

/* For an __index: the method whose name is at index 2. Returns 1. [-0, +1, -] */
int userdata_method(lua_State *L);

#endif
