/* embed/host_objects.h - objects of the host: userdata with methods, which are functions of the host, and
 * with a finalizer. In states that the library owns. */
#ifndef EMBED_HOST_OBJECTS_H
#define EMBED_HOST_OBJECTS_H

#include <lua.h>
#include <stdbool.h>

#include "engine/host_object.h"
#include "modalua.h"

/* Whether a host may use the class. */
bool host_objects_class_is_valid(const modalua_class *class);

/* Pushes an object of the class; the caller sets `object`, which the userdata owns from then on.
 * [-0, +1, m] */
host_object *host_objects_push(lua_State *L, loop *lp, const modalua_class *class);

/* The host's pointer of the object at index; NULL when it is closed, or is no object of the class.
 * [-0, +0, -] */
void *host_objects_pointer(lua_State *L, int index, const modalua_class *class);

#endif
