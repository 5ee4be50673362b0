/* engine/timer.h - the timers of a loop: a binary heap of operations, the earliest first. Each
 * operation has at most one. Knows no Lua. */
#ifndef ENGINE_TIMER_H
#define ENGINE_TIMER_H

#include "engine/op.h"

/* Sets the op's timer in place of the one it has; `due` is a time on clock_now's clock. The pump
 * makes the op ready then. False: not enough memory, and the op has no timer. */
bool timer_set(op *o, double due);

/* Sets the timer for op->progress_interval; does nothing when that is 0. False: not enough memory.
 */
bool timer_set_progress(op *o);

/* Idempotent. */
void timer_clear(op *o);

/* The op with the earliest timer; NULL: no timer is set. */
op *timer_first(const loop *lp);

/* Frees the heap. */
void timer_free(loop *lp);

#endif
