/* api/configuration.h - the server's entries of modalities and peers: read, changed, removed. */
#ifndef API_CONFIGURATION_H
#define API_CONFIGURATION_H

#include <lua.h>

#include "binding/options.h"

extern const option configuration_rows[]; /* of configure, beside the settings */

/* Methods of Modality and Peer. */
int configuration_get(lua_State *L);    /* configuration() */
int configuration_set(lua_State *L);    /* configure(settings) */
int configuration_remove(lua_State *L); /* remove() */

#endif
