/* api/remote.h - what the server knows by name, seen from Lua: remote modalities (api/modality.h) and
 * other Orthancs, its peers (api/peer.h). Their objects have the fields client and modality, or peer,
 * and one method table a kind. */
#ifndef API_REMOTE_H
#define API_REMOTE_H

#include <lua.h>

#include "binding/options.h"
#include "engine/slots.h"
#include "orthanc/routes.h"
#include "request/call.h"

enum { NAMED_CLIENT = 1 };    /* its user value */
enum { NAMED_MAX_MOVES = 2 }; /* what Orthanc's job engine runs at once */

typedef struct remote_kind {
    const char *type; /* of the userdata */
    const char *word; /* what it is called, and the field with its name */
    const char *root; /* of its routes */
} remote_kind;

extern const remote_kind remote_modality, remote_peer;

extern const option remote_rows[]; /* of the functions that make one */

typedef struct remote {
    const remote_kind *kind;
    loop *lp;
    slots *slots;       /* its transfers' */
    unsigned max_moves; /* how many of them this handle lets run at once */
    char name[ORTHANC_ID_SIZE];
} remote;

/* The one of that kind at index; throws when it is none. [-0, +0, v] */
remote *remote_check(lua_State *L, int index, const remote_kind *kind);

/* The one of either kind at index; throws when it is none. [-0, +0, v] */
remote *remote_check_either(lua_State *L, int index);

/* Pushes one of the client at index; no I/O. Throws when the name cannot be one. [-0, +1, v] */
void remote_push(lua_State *L, loop *lp, const remote_kind *kind, int client, const char *name,
                 unsigned max_moves);

/* Reads the arguments name [, {max_moves = n}] at index and pushes the client's one of that name.
 * [-0, +1, v] */
int remote_from_arguments(lua_State *L, loop *lp, const remote_kind *kind, int client, int name);

/* Makes the type known to the state, with the table of its methods that is on the top, and stays.
 * [-0, +0, m] */
void remote_open(lua_State *L, loop *lp, const remote_kind *kind);

#endif
