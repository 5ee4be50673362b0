/* request/client_record.h - the userdata of a client: how one Orthanc server is reached, and what is
 * remembered about it. modalua.connect (api/connect.c) makes it. */
#ifndef REQUEST_CLIENT_RECORD_H
#define REQUEST_CLIENT_RECORD_H

#include <lua.h>

#include "engine/loop.h"

#define CLIENT_TYPE "modalua.Client"

typedef struct client {
    http_server *server; /* NULL until connected */
    double timeout;      /* seconds for one exchange; 0 = no limit */
} client;

/* A client's user values: what each feature remembers about the server, nil at first. Each value
 * belongs to one file; other files use that file's functions. */
enum {
    CLIENT_VERSION = 1, /* request/version.c: the server's version */
    CLIENT_QUERIES,     /* api/find_result.c: the queries that this client sent */
    CLIENT_ANSWERS,     /* api/find_result.c: which modality gave an answer */
    CLIENT_VALUES = CLIENT_ANSWERS
};

/* The open client at index; throws on anything else. [-0, +0, v] */
client *client_check(lua_State *L, int index);

#endif
