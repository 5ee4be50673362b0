/* embed/coroutines.h - the functions of Lua's table `coroutine` in a state that the library owns.
 *
 * They let a kill through, and inside a task they behave as in a main program. An operation that
 * waits (engine/op.h) in a coroutine of the script suspends the whole task: resume and wrap yield,
 * and resume the coroutine again when the task goes on. Scripts see such a coroutine as "normal".
 */
#ifndef EMBED_COROUTINES_H
#define EMBED_COROUTINES_H

#include <lua.h>
#include <stdbool.h>

/* Replaces these functions in the globals; luaL_openlibs has been called. [-0, +0, m] */
void coroutines_open(lua_State *L);

/* Pushes the traceback that was kept for the coroutine at index 1, when it has ended in an error,
 * without the line of the base frame. False: there is none. [-0, +n, m] */
bool coroutines_push_trace(lua_State *L, lua_State *co);

#endif
