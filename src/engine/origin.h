/* engine/origin.h - where an error came from. When a task has failed, the task that joined it usually throws the
 * error again, by assert or in a combinator. The traceback of the second place is then followed by that of the first.
 */
#ifndef ENGINE_ORIGIN_H
#define ENGINE_ORIGIN_H

#include <lua.h>

/* Remembers the error at the index, and its traceback, which is on the top, until the next call. [-1, +0, m] */
void origin_remember(lua_State *L, int error);

/* Pushes the traceback of the error at the index, which is being thrown. When it is the remembered error, or that
 * with a place before its message, the remembered traceback follows. [-0, +1, m] */
void origin_push_traceback(lua_State *L, int error);

/* The message handler of a function that catches an error and throws it again: the traceback of the
 * second throw then shows the first one too. */
int origin_l_keep(lua_State *L);

#endif
