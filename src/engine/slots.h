/* engine/slots.h - how many transfers run at once with one modality or peer, whoever asks for them: a PACS
 * is not to be brought to its knees by us. Knows no Lua.
 *
 * An operation enters the lane before it asks the server for a transfer, and leaves it when it
 * ends; the others wait in order.
 */
#ifndef ENGINE_SLOTS_H
#define ENGINE_SLOTS_H

#include <stdbool.h>

#include "engine/loop.h"

/* The lane of what that server knows under that path, made at first use; the caller lets go of it
 * with lane_release. NULL: out of memory. */
lane *lane_of(loop *lp, const char *server, const char *remote);
void lane_release(loop *lp, lane *l);

/* True: the operation has a place, and may go on. False: it waits, and becomes ready when it has
 * one (op->in_lane). max: how many places there are, as the operation sees it. */
bool lane_enter(lane *l, op *o, unsigned max);

/* Goes ahead, whoever else is there: for one that must not wait, as nobody could make room for it
 * meanwhile. */
void lane_push_in(lane *l, op *o);

/* Gives up the place, or the wait for one. Idempotent. */
void lane_leave(op *o);

#endif
