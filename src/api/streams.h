/* api/streams.h - objects of the host in the place of files: sinks and sources (modalua.h). */
#ifndef API_STREAMS_H
#define API_STREAMS_H

#include <lua.h>
#include <stdbool.h>

#include "engine/host_object.h"
#include "http/http.h"

/* Whether the value at index is an object of the host. [-0, +0, -] */
bool streams_is(lua_State *L, int index);

/* Throws when the object at index cannot be used as a sink, or as a source, by the function with that
 * name. [-0, +0, v] */
void streams_check(lua_State *L, int index, bool sink, const char *name);

/* Makes `f` the stream of that object, which is used from now on until streams_end. */
void streams_use(host_object *o, http_file *f);

/* Asks a source for its size. Returns 0, or errno. */
int streams_open_source(host_object *o, http_file *f);

/* The operation has ended. Tells the object whether it has succeeded. */
void streams_end(host_object *o, bool complete);

#endif
