/* retry.h - a failed exchange that may be tried again: no side effects, a failure that may pass,
 * tries left (the server's `retries`), and time left: its timeout bounds all tries and the pauses
 * between them. Pauses double and vary, and are as long as the server asks (Retry-After). */
#ifndef RETRY_H
#define RETRY_H

#include "loop.h"

/* The op's transfer has ended. True: it will be tried again, by retry_now, when the timer that this
 * has set is due. */
bool retry_later(op *o);

/* Sends the request again. False: out of memory, which the transfer says too. */
bool retry_now(op *o);

#endif
