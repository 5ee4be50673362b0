/* api/client_methods.h - the methods of a client: requests to any route of its server, and the objects
 * of the server (modalities, peers, queries, jobs). */
#ifndef API_CLIENT_METHODS_H
#define API_CLIENT_METHODS_H

#include <lua.h>

#include "engine/loop.h"

/* Sets `connect`, `Modality` and `RemoteModality` in the module table on the top. [-0, +0, m] */
void client_methods_open(lua_State *L, loop *lp);

#endif
