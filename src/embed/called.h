/* embed/called.h - the body of a task that calls a function for the host: by its name, with an argument
 * of JSON, and its first result becomes JSON. */
#ifndef EMBED_CALLED_H
#define EMBED_CALLED_H

#include <lua.h>

/* Lua functions. called_function: path, and the argument as JSON text or nil. called_chunk: a function,
 * which is called without arguments. Both return the first result as JSON text, or nothing when it is
 * nil. A function that returns nil and an error, or false and an error object, as operations do, has
 * failed: they throw that error. */
int called_function(lua_State *L);
int called_chunk(lua_State *L);

#endif
