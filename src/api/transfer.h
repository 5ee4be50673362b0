/* api/transfer.h - moving data: a request to the route of a modality or a peer, run as a job of the
 * server unless the caller says Synchronous, waited for, and its outcome, which is never a success
 * on doubt. */
#ifndef API_TRANSFER_H
#define API_TRANSFER_H

#include <lua.h>

#include "api/job_poll.h"
#include "request/route_options.h"

/* Why a success is not believed: the caller's wish, and what Patient level is like. */
#define TRANSFER_VERIFY        "as verify asks for, what has arrived is compared"
#define TRANSFER_PATIENT_DOUBT "at Patient level some modalities report success and send nothing"

/* clang-format off */
#define TRANSFER_VERIFY_ROW(offset) { "verify", OPTION_FLAG, (offset), \
    "true: compares what has arrived, also when the server reports success" }
/* clang-format on */

typedef struct transfer {
    job_poll poll;
    int synchronous; /* 1: one blocking request; 0: the job's handle at once; -1: waited for */
    const orthanc_route *route;
    const orthanc_key *newest; /* a key that needs a new server; NULL = none */
    int least;                 /* the first version that can do it this way; 0 = all */
    bool permissive, by_get;   /* asked for; by C-GET, or what the server takes for the default */
    call_step prepared; /* what is left to do before the request, once the version is known */
    const char *doubt;  /* why a success is not believed before it is proven; NULL = it is */
    char stop_path[ORTHANC_ID_SIZE + 16];
} transfer;

/* Pushes a transfer of `size` bytes on the modality or peer at index 1. Its table of data is to get
 * path and body. [-0, +1, m] */
transfer *transfer_new(lua_State *L, loop *lp, size_t size, int client, const char *name,
                       call_step first);

/* What the body at index says of how it is to be run is taken out of it and noted. [-0, +0, v] */
void transfer_take_mode(lua_State *L, transfer *t, int body);

/* For steps: makes sure that the server has the route and its keys, then goes on with
 * t->prepared. */
int transfer_check_version(lua_State *L, call *c);

/* For steps: in its turn, sends data.body to data.path and sees it through. */
int transfer_begin(lua_State *L, call *c);

/* For steps: `return transfer_resolve(…);` leaves the outcome to lua/modalua/core/arrival.lua: of the
 * data on the top, with the server's result at the index. */
int transfer_resolve(lua_State *L, const job_poll *w, int result, const char *reason);

#endif
