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
 * with slots_release. NULL: out of memory. */
slots *slots_of(loop *lp, const char *server, const char *remote);
void slots_release(loop *lp, slots *l);

/* True: the operation has a place, and may go on. False: it waits, and becomes ready when it has
 * one (op->has_slot). max: how many places there are, as the operation sees it. */
bool slots_enter(slots *l, op *o, unsigned max);

/* Goes ahead, whoever else is there: for one that must not wait, as nobody could make room for it
 * meanwhile. */
void slots_push_in(slots *l, op *o);

/* Gives up the place, or the wait for one. Idempotent. */
void slots_leave(op *o);

#endif
