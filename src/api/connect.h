/* api/connect.h - modalua.connect, which makes a client: one Orthanc server, as scripts see it. */
#ifndef API_CONNECT_H
#define API_CONNECT_H

#include <lua.h>

#include "engine/loop.h"
#include "modalua.h"

/* Before connect_open: the host's configuration. It names the server of modalua.connect() without a
 * URL, the file of servers, and the servers of a sandbox. It must outlive the state; its strings
 * are the host's. Without this call the host has configured nothing. [-0, +0, m] */
void connect_set_config(lua_State *L, const modalua_config *config);

/* Makes Client known to the state, with the table of its methods that is on the top, and sets
 * `connect` in the module table below it. [-1, +0, m] */
void connect_open(lua_State *L, loop *lp);

#endif
