/* api/local_find.h - what this Orthanc itself holds: client:find. */
#ifndef API_LOCAL_FIND_H
#define API_LOCAL_FIND_H

#include <lua.h>

int local_find_find(lua_State *L); /* client:find(data) */

#endif
