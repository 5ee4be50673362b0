/* lclient.h - modalua.connect and the client: one Orthanc server, seen from Lua. */
#ifndef LCLIENT_H
#define LCLIENT_H

#include <lua.h>

#include "loop.h"

/* Where modalua.connect() goes without a URL; the credentials are for that server alone. NULL = not
 * given. Owned by the host. */
typedef struct lclient_defaults {
    const char *url, *username, *password, *token;
    bool environment_proxy;
} lclient_defaults;

/* Before lclient_open: the host's defaults (NULL = none), which must outlive the state. [-0, +0, m]
 */
void lclient_set_defaults(lua_State *L, const lclient_defaults *defaults);

/* Makes Client known to the state and sets `connect` in the module table on the top. [-0, +0, m] */
void lclient_open(lua_State *L, loop *lp);

#endif
