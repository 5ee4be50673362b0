/* engine/slots.h - the concurrency slots of a modality or peer: they limit how many transfers run
 * with it at the same time, across all tasks of a runtime, so that a PACS is not overloaded.
 * Waiting operations are served first come, first served. Knows no Lua.
 *
 * An operation acquires a slot before it asks the server for a transfer, and releases it when it
 * ends.
 */
#ifndef ENGINE_SLOTS_H
#define ENGINE_SLOTS_H

#include <stdbool.h>

#include "engine/op.h"

/* The slots of the remote with that path on that server; made at the first use, shared, and
 * counted: each slots_open needs a slots_close. NULL: not enough memory. */
slots *slots_open(loop *lp, const char *server, const char *remote);
void slots_close(loop *lp, slots *s);

/* True: the operation has a slot. False: it waits for one; when it becomes ready and o->slot.held
 * is true, it has one. `limit`: how many operations may hold one at the same time, as this one sees
 * it. */
bool slots_acquire(slots *s, op *o, unsigned limit);

/* Gives the operation a slot above the limit. For an operation that drives the loop in place: while
 * it waited, no task could run that would release a slot. */
void slots_acquire_now(slots *s, op *o);

/* Gives up the slot, or the wait for one. Idempotent. */
void slots_release(op *o);

#endif
