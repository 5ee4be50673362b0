/* api/remote.h - a remote: a modality or a peer (another Orthanc), which the server knows by name.
 * The userdata has the fields `client` and `modality` or `peer` (its name), and the methods of its
 * kind.
 *
 * A kind of remote is a row, remote_kind, in the file of its methods: modality_methods.c, peer.c. */
#ifndef API_REMOTE_H
#define API_REMOTE_H

#include <lua.h>

#include "binding/fields.h"
#include "binding/options.h"
#include "engine/slots.h"
#include "orthanc/routes.h"
#include "request/call.h"

enum { REMOTE_CLIENT = 1 };    /* the user value of a remote */
enum { REMOTE_MAX_MOVES = 2 }; /* default: Orthanc's own number of job workers */

typedef struct remote_kind {
    const char *type; /* of the userdata */
    const char *word; /* what messages call it; also the field that has its name */
    const char *root; /* where its routes begin */
    object_kind object;
} remote_kind;

extern const remote_kind remote_modality; /* api/modality_methods.c */

extern const option remote_rows[]; /* the options of the functions that make a remote */

struct remote {
    const remote_kind *kind;
    loop *lp;
    slots *slots;       /* limits the transfers with it; NULL = the remote is closed */
    unsigned max_moves; /* transfers at once, for transfers by this userdata */
    double latest;      /* a new transfer must have been submitted by then (http_request) */
    double usual;       /* seconds after which the job of a new transfer is first asked for */
    double unfinished; /* see remote_l_take_unfinished; -1 = no job has ended since the last call */
    char name[ORTHANC_ID_SIZE];
    char path[ORTHANC_ID_SIZE + 16]; /* its route: "/modalities/pacs" */
};

/* The open remote of that kind at index; throws on anything else. [-0, +0, v] */
remote *remote_check(lua_State *L, int index, const remote_kind *kind);

/* The open remote of any kind at index; throws on anything else. [-0, +0, v] */
remote *remote_check_any(lua_State *L, int index);

/* The same of a method's object, for the rows of methods that are written in Lua. Returns 0. */
int remote_check_self(lua_State *L);

/* Pushes a remote of the client at index. Sends nothing. Throws on an invalid name. [-0, +1, v] */
remote *remote_push(lua_State *L, loop *lp, const remote_kind *kind, int client, const char *name,
                    unsigned max_moves);

/* Pushes a remote of the client at index by the arguments at `name` and behind it: the name and
 * perhaps {max_moves = n}. Returns 1. [-0, +1, v] */
int remote_from_arguments(lua_State *L, loop *lp, const remote_kind *kind, int client, int name);

/* set_latest(remote, milliseconds) for the Lua half: transfers that are made from now on are submitted at
 * this moment of CLOCK_BOOTTIME at the latest, or fail with the code "late", and nothing is sent. */
int remote_l_set_latest(lua_State *L);

/* set_usual(remote, seconds) for the Lua half: the job of a transfer that is made from now on will hardly
 * have ended sooner, so it is not asked for sooner. */
int remote_l_set_usual(lua_State *L);

/* A job of a transfer has succeeded, and was last seen unfinished after so many seconds; 0 = never. */
void remote_note_unfinished(remote *r, double seconds);

/* take_unfinished(remote) -> seconds | nil for the Lua half: after how many seconds jobs were last seen
 * unfinished; the least number among the jobs that have succeeded since the last call. */
int remote_l_take_unfinished(lua_State *L);

/* Pushes a call of `size` bytes that begins with a struct call, on the remote at index 1, which becomes
 * c->remote and data.modality or data.peer. c->route is the remote's path and `route` ("/query").
 * [-0, +1, v] */
call *remote_new_call(lua_State *L, size_t size, const char *name, const char *route,
                      call_step first);

/* Registers the kind in the state; its table of methods is on the top. [-0, +0, m] */
void remote_open(lua_State *L, loop *lp, const remote_kind *kind);

#endif
