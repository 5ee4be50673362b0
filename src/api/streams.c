#include "api/streams.h"

#include "binding/error.h"
#include "engine/stop.h"

bool streams_is(lua_State *L, int index)
{
    return host_object_to(L, index) != NULL;
}

void streams_check(lua_State *L, int index, bool sink, const char *name)
{
    const host_object *o = host_object_to(L, index);
    const modalua_stream_class *s = host_object_stream(o);
    if (!s || (sink ? !s->write : !s->read))
        error_usage(L, "%s: an object of %s is no %s: its class has no function %s", name,
                    o->class->name, sink ? "sink" : "source", sink ? "write" : "read");
    if (o->closed || !o->object)
        error_usage(L, "%s: the object of %s is closed", name, o->class->name);
    if (o->used)
        error_usage(L, "%s: another operation uses the object of %s", name, o->class->name);
}

void streams_use(host_object *o, http_file *f)
{
    o->used = true;
    f->stream = host_object_stream(o);
    f->object = o->object;
}

int streams_open_source(host_object *o, http_file *f)
{
    double left = stop_enter_host(o->lp);
    long size = f->stream->size(f->object);
    stop_leave_host(o->lp, left);
    f->size = size < 0 ? 0 : size;
    return size < 0 ? (int)-size : 0;
}

void streams_end(host_object *o, bool complete)
{
    const modalua_stream_class *s = host_object_stream(o);
    double left;
    if (s->end) {
        left = stop_enter_host(o->lp);
        s->end(o->object, complete);
        stop_leave_host(o->lp, left);
    }
    host_object_leave(o);
}
