/* engine/op.h - the operation: the one mechanism under everything a script can wait for.
 *
 * A binding makes an op, prepares it, and returns op_run(L, o). One loop then advances it and
 * between advances either yields (on its task's own coroutine, where that can yield) or drives the
 * network in place. It never recurses, so an operation polled 100,000 times uses the stack of one.
 */
#ifndef ENGINE_OP_H
#define ENGINE_OP_H

#include <lua.h>

#include "engine/loop.h"

/* Pushes a zeroed userdata of `size` bytes that begins with an op, with `values` user values for
 * what it must keep alive. Whatever the op acquires is released when it ends, or when it is
 * collected. [-0, +1, m] */
op *op_new(lua_State *L, loop *lp, size_t size, int values, op_advance_fn advance,
           const char *name);

/* Runs the op, whose userdata is on the top, to its end: `return op_run(L, o);`. Throws "cancelled"
 * and kills at the call. */
int op_run(lua_State *L, op *o);

/* For advance: ends the last exchange and starts the next one. The request's strings must be kept
 * alive by the op's user values. */
int op_request(lua_State *L, op *o, http_server *s, const http_request *r);

/* For advance: waits for `seconds`. */
int op_sleep(lua_State *L, op *o, double seconds);

/* For advance: waits until the task, which is not done yet, is. */
int op_join(op *o, task *target);

/* Whether L can give way to other tasks; an operation elsewhere keeps the network going in place.
 * [-0, +0, -] */
bool op_can_yield(lua_State *L, const loop *lp);

/* Throws the error on the top, for advance: the op lets go of what it holds first, and does not
 * wait for its collection. [-1, +0, v] */
_Noreturn void op_throw(lua_State *L, op *o);

/* Whether the exchange that it waits for has not ended: an advance that comes of its tick. */
bool op_is_under_way(const op *o);

/* For advance, then: goes on waiting. */
int op_wait_on(lua_State *L, op *o);

/* For advance: calls the function and the argument on the top; what that throws ends the operation
 * as a cancel does. It may wait for other operations. [-2, +0, v] */
void op_call_back(lua_State *L, op *o);

/* For op->stopped: the operation becomes a farewell, with the request that is under way, or with
 * this one in its place (r not NULL; its strings must be inside the op). When that has been
 * answered, goes_on (or NULL) may start one more. A place in a lane is held until the end.
 * [-0, +0, m] */
void op_become_farewell(lua_State *L, op *o, const http_request *r, bool (*goes_on)(op *o));

/* For goes_on: starts the farewell's next request. False: it cannot be. */
bool op_farewell_request(op *o, http_server *s, const http_request *r);

/* A request that nobody waits for: the closing of something on the server. The op (on the top,
 * popped) is run by the loop; its outcome is not looked at. The runtime gives it at most a second
 * after the run. [-1, +0, m] */
void op_farewell(lua_State *L, op *o, http_server *s, const http_request *r);

/* Drops the farewells that have ended; true while some are under way. With `all`, drops those too.
 * [-0, +0, -] */
bool op_farewells_pending(lua_State *L, loop *lp, bool all);

#endif
