/* llocal.h - what this Orthanc itself holds: client:find. */
#ifndef LLOCAL_H
#define LLOCAL_H

#include <lua.h>

int llocal_find(lua_State *L); /* client:find(data) */

#endif
