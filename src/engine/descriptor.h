/* engine/descriptor.h - the descriptors that operations wait for, beside those of HTTP transfers: the sockets
 * of databases. Each operation has at most one. Knows no Lua. */
#ifndef ENGINE_DESCRIPTOR_H
#define ENGINE_DESCRIPTOR_H

#include "engine/op.h"

/* The pump makes the op ready, and ends its timer, when the descriptor is ready for one of the events of
 * poll(2), or has failed. Replaces the descriptor that the op waits for. False: not enough memory. */
bool descriptor_watch(op *o, int fd, short events);

/* The op no longer waits for one. Idempotent. */
void descriptor_forget(op *o);

/* Makes the ops ready whose descriptor is ready. Returns whether there was one. Does not block. */
bool descriptor_collect(loop *lp);

/* All descriptors of the loop, that of the wakeup pipe first: without others it is written to *first.
 * Returns the list, and its length in *count. */
struct pollfd *descriptor_list(loop *lp, struct pollfd *first, size_t *count);

/* Frees the list. */
void descriptor_free(loop *lp);

#endif
