/* api/connect.h - modalua.connect and the client: one Orthanc server, seen from Lua. */
#ifndef API_CONNECT_H
#define API_CONNECT_H

#include <lua.h>

#include "engine/loop.h"
#include "orthanc/tags.h"

/* What a client's userdata holds. */
typedef struct client {
    http_server *server; /* NULL until connected */
    double timeout;      /* seconds of one exchange; 0 = no limit */
    int version; /* the server's, once somebody had to know it (orthanc/routes.h); 0 = not yet */
    unsigned doubts; /* entries in its table of doubts */
    /* Of each level: a list of so many is known not to be cut by the server (api/local_find.c). */
    long long whole[ORTHANC_NO_LEVEL];
} client;

/* Its user values, tables: from the identifiers of queries to what find gave, while that is alive;
 * from those of jobs, which the script waits for by itself, to what proves their outcome; from
 * answers, while they are alive, to the name of the modality that gave them. */
enum { CLIENT_QUERIES = 1, CLIENT_DOUBTS, CLIENT_ANSWERS, CLIENT_VALUES = CLIENT_ANSWERS };

/* The client at index, open; throws otherwise. [-0, +0, v] */
client *client_check(lua_State *L, int index);

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

/* Pushes that table. [-0, +1, -] */
void connect_push_methods(lua_State *L);

#endif
