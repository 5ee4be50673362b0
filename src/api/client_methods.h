/* api/client_methods.h - what a client can do: the routes of one Orthanc server, and the objects that they
 * lead to. */
#ifndef API_CLIENT_METHODS_H
#define API_CLIENT_METHODS_H

#include <lua.h>

#include "engine/loop.h"

/* Sets `connect`, `Modality` and `RemoteModality` in the module table on the top. [-0, +0, m] */
void client_methods_open(lua_State *L, loop *lp);

#endif
