/* api/peer.h - another Orthanc, as the server knows it by name, seen from Lua. */
#ifndef API_PEER_H
#define API_PEER_H

#include <lua.h>

#include "api/remote.h"

extern const remote_kind remote_peer;

/* Makes Peer known to the state. [-0, +0, m] */
void peer_open(lua_State *L, loop *lp);

#endif
