/* lorthanc.h - what a client can do: the routes of one Orthanc server, and the objects that they
 * lead to. */
#ifndef LORTHANC_H
#define LORTHANC_H

#include <lua.h>

#include "engine/loop.h"

/* Sets `connect`, `Modality` and `RemoteModality` in the module table on the top. [-0, +0, m] */
void lorthanc_open(lua_State *L, loop *lp);

#endif
