/* api/commitment.h - storage commitment: a modality's word that it keeps what it was sent. DICOM PS3.4
 * J; POST /modalities/{name}/storage-commitment, GET /storage-commitment/{uid}, POST …/remove. */
#ifndef API_COMMITMENT_H
#define API_COMMITMENT_H

#include <lua.h>

#include "engine/loop.h"

int commitment_request(lua_State *L); /* modality:storage_commitment(resources [, options]) */

/* Pushes the commitment of the client at index whose transaction UID is at index `uid`; no I/O.
 * Throws when that cannot be one. `return commitment_push(…);` [-0, +1, v] */
int commitment_push(lua_State *L, int client, int uid);

/* Makes the type known to the state. [-0, +0, m] */
void commitment_open(lua_State *L, loop *lp);

#endif
