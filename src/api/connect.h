/* api/connect.h - modalua.connect and the client: one Orthanc server, seen from Lua. */
#ifndef API_CONNECT_H
#define API_CONNECT_H

#include <lua.h>

#include "engine/loop.h"

/* Where modalua.connect() goes without a URL, and where it finds the names of servers; the
 * credentials are for that server alone. NULL = not given. Owned by the host. */
typedef struct client_defaults {
    const char *url, *username, *password, *token;
    const char *config_file, *profile; /* api/config_file.h; profile only without url */
    const char *servers; /* in a sandbox, where a script may go beside its default: URLs with blanks
                            between them */
    bool environment_proxy;
} client_defaults;

/* Before connect_open: the host's defaults (NULL = none), which must outlive the state. [-0, +0, m]
 */
void connect_set_defaults(lua_State *L, const client_defaults *defaults);

/* Makes Client known to the state, with the table of its methods that is on the top, and sets
 * `connect` in the module table below it. [-1, +0, m] */
void connect_open(lua_State *L, loop *lp);

#endif
