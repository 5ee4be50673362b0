#include "engine/host_object.h"

#include "engine/stop.h"

/* In a metatable, the address of this variable is the key of `true`. */
static const char mark;

void host_object_mark(lua_State *L)
{
    lua_pushboolean(L, 1);
    lua_rawsetp(L, -2, &mark);
}

host_object *host_object_to(lua_State *L, int index)
{
    bool is_object;
    if (lua_type(L, index) != LUA_TUSERDATA || !lua_getmetatable(L, index))
        return NULL;
    is_object = lua_rawgetp(L, -1, &mark) == LUA_TBOOLEAN;
    lua_pop(L, 2);
    return is_object ? lua_touserdata(L, index) : NULL;
}

void host_object_destroy(loop *lp, modalua_destroy_fn destroy, void *object)
{
    double left;
    if (!destroy)
        return;
    left = stop_enter_host(lp);
    destroy(object);
    stop_leave_host(lp, left);
}

void host_object_close(host_object *o)
{
    void *object = o->object;
    o->closed = true;
    if (!object || o->used)
        return;
    o->object = NULL;
    host_object_destroy(o->lp, o->class->destroy, object);
}

void host_object_leave(host_object *o)
{
    o->used = false;
    if (o->closed)
        host_object_close(o);
}

const modalua_stream_class *host_object_stream(const host_object *o)
{
    if (o->class->struct_size != sizeof(modalua_stream_class))
        return NULL;
    return (const modalua_stream_class *)(const void *)o->class;
}
