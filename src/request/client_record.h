/* request/client_record.h - what a client is in C: one Orthanc server, as modalua.connect gives it
 * to scripts (api/connect.h). */
#ifndef REQUEST_CLIENT_RECORD_H
#define REQUEST_CLIENT_RECORD_H

#include <lua.h>

#include "engine/loop.h"
#include "orthanc/tags.h"

#define CLIENT_TYPE "modalua.Client"

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

#endif
