/* api/transfer.h - moving images (move, get, store): a request to a route of a modality or peer. The
 * server runs it as a job, unless the caller says Synchronous. A success that the server may report
 * wrongly is verified first. */
#ifndef API_TRANSFER_H
#define API_TRANSFER_H

#include <lua.h>

#include "api/job_poll.h"

typedef enum transfer_mode {
    TRANSFER_JOB,     /* waits for the job */
    TRANSFER_HANDLE,  /* Synchronous = false: returns the job's handle at once */
    TRANSFER_BLOCKING /* Synchronous = true: one request that takes as long as the transfer */
} transfer_mode;

typedef struct transfer {
    call call;
    job_poll poll;
    transfer_mode mode;
    bool permissive; /* Permissive = true was given */
    bool by_get;     /* C-GET, or the server's default, which may be C-GET */
    bool together;   /* one C-MOVE for all resources, which are a list of UIDs (PS3.4 C.2.2.2.2) */
    bool is_part;    /* the Lua half looks after its outcome: see transfer_make_part */
    double latest;   /* when it must have been submitted (http_request); 0 = at any time */
    bool believed;   /* verify = false: a success is not looked at */
    const char *verify_reason; /* why the server's success is no proof; NULL = it may be one */
    char cancel_path[ORTHANC_ID_SIZE + 16];
} transfer;

/* Values of verify_reason. */
#define TRANSFER_VERIFY        "the option verify asks for this check"
#define TRANSFER_PATIENT_LEVEL "at Patient level some modalities report success and send nothing"

/* clang-format off */
#define TRANSFER_VERIFY_ROW(offset) { "verify", OPTION_FLAG, (offset), \
    "true: compares each instance; false: believes the server; default: counts what has arrived, where that can be asked" }
/* clang-format on */

/* Pushes a transfer of `size` bytes that begins with a struct transfer, for the client at index `client`
 * and the remote at index `remote` (0 = not known yet). Before transfer_begin its data need `path` and
 * `body`. [-0, +1, m] */
transfer *transfer_new(lua_State *L, loop *lp, size_t size, int client, int remote,
                       const char *name, call_step first);

/* Makes the transfer at index `call` a C-MOVE that a part of the Lua half asks for (core.moves), which
 * looks after its outcome. The values of the table at index `more` become data; its results are
 *   result, reason | nil, job | nil    the server's success, and why it is no proof
 *   false, reason, job                 the server has removed the job before its outcome was read
 *   nil, err
 *   nil, list, "busy"                  nothing was sent: the list has the unfinished jobs that move one
 *                                      of the resources, apart from those in data.ignored
 * [-0, +0, m] */
void transfer_make_part(lua_State *L, int call, int more);

/* modalua's own options of transfers. */
typedef struct transfer_options {
    double wait_timeout;
    unsigned max;         /* resources; 0 = any number */
    bool verify;          /* true was given */
    const char *unproven; /* "move", or NULL */
    bool all;             /* a query without any filter may be moved */
} transfer_options;

/* Reads the options of the table at index for the transfer at index `call`: pushes the body, which has
 * the keys of the route; modalua's own options go into `o` as the rows say. Sets the mode, the deadline
 * and the progress of the transfer. [-0, +1, v] */
void transfer_read_options(lua_State *L, int index, int call, const orthanc_route *route,
                           const option *rows, transfer_options *o);

/* For steps: waits for a concurrency slot of the remote, sends data.body to data.path, and sees the
 * transfer through to its result. */
int transfer_begin(lua_State *L, call *c);

/* For steps: `return transfer_verify(…);` leaves the outcome to the Lua half (arrival.lua), which
 * compares what has arrived. The transfer's data are on the top, the server's result is at index
 * `result`. */
int transfer_verify(lua_State *L, const call *c, int result, const char *reason);

#endif
