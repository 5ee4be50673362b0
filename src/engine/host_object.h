/* engine/host_object.h - an object of the host, as scripts have it: a userdata that owns it. An operation
 * can use it as a stream; then it is destroyed only when the operation has ended. In states that the
 * library owns. */
#ifndef ENGINE_HOST_OBJECT_H
#define ENGINE_HOST_OBJECT_H

#include <lua.h>
#include <stdbool.h>

#include "engine/loop.h"
#include "modalua.h"

typedef struct host_object {
    loop *lp;
    const modalua_class *class;
    void *object; /* NULL = it is destroyed, or not set yet */
    bool used;    /* by an operation, as a stream */
    bool closed;  /* the script cannot use it any more */
} host_object;

/* Makes the table on the top, a metatable, one of objects of the host. [-0, +0, m] */
void host_object_mark(lua_State *L);

/* The object at index, which may be closed; NULL: the value is none. [-0, +0, -] */
host_object *host_object_to(lua_State *L, int index);

/* Destroys it, at once or, when an operation uses it, at the end of that. Idempotent. */
void host_object_close(host_object *o);

/* The operation that uses it has ended. */
void host_object_leave(host_object *o);

/* The functions of an object that is a stream; NULL: it is none. */
const modalua_stream_class *host_object_stream(const host_object *o);

/* Calls a destructor of the host; NULL is fine. */
void host_object_destroy(loop *lp, modalua_destroy_fn destroy, void *object);

#endif
