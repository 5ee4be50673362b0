/* api/peer.h - Peer: another Orthanc, which the server knows by name. */
#ifndef API_PEER_H
#define API_PEER_H

#include <lua.h>

#include "api/remote.h"

extern const remote_kind remote_peer;

/* Registers Peer in the state. [-0, +0, m] */
void peer_open(lua_State *L, loop *lp);

#endif
