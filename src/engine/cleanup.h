/* engine/cleanup.h - detached cleanup requests: requests that end something on the server (a job, a
 * query) after the operation that began it is over. No task waits for them, and their outcome is
 * ignored, but when the server is too busy (429, 503) one without side effects is sent again. They are
 * sent although the task, or the whole run, has been cancelled; a run waits for them at most a second
 * after its end, and the next run carries on with the others. `max_inflight` does not count them, so
 * that requests which hang do not hold them up. */
#ifndef ENGINE_CLEANUP_H
#define ENGINE_CLEANUP_H

#include "engine/op.h"

/* Makes a cleanup request of the op on the top, and sends `r`. The strings of `r` must be inside
 * the op or static. [-1, +0, m] */
void cleanup_start(lua_State *L, op *o, http_server *s, const http_request *r);

/* Makes a cleanup of the op on the top that is no HTTP request: next_step is called until it returns false.
 * When it returns true it has started a wait (descriptor.h, timer.h). No Lua runs in it. [-1, +0, m] */
void cleanup_start_steps(lua_State *L, op *o, bool (*next_step)(op *o));

/* For op->on_stop: the operation becomes a cleanup request. `r` NULL: the request under way goes on
 * as the cleanup request; else that one is aborted and `r` is sent in its place. When it has been
 * answered, next_request (or NULL) may send one more, with op_send. The op keeps its concurrency
 * slot until the end. [-0, +0, m] */
void cleanup_take_over(lua_State *L, op *o, const http_request *r, bool (*next_request)(op *o));

/* Frees the cleanup requests that have ended. Returns whether some of this run are still under way.
 * [-0, +0, -] */
bool cleanup_collect(lua_State *L, loop *lp);

/* The run ends, and waits no longer: leaves its cleanup requests to the next run, which goes on with
 * them but does not wait for them. They give up their concurrency slots. [-0, +0, -] */
void cleanup_leave(loop *lp);

/* Aborts and frees all of them. [-0, +0, -] */
void cleanup_abort(lua_State *L, loop *lp);

#endif
