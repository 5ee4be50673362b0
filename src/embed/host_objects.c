#include "embed/host_objects.h"

#include <lauxlib.h>

#include "binding/error.h"
#include "embed/host_functions.h"

/* The metatable of a class is in the registry, with the address of the class as its key. */

/* ---- asking ---- */

static bool stream_is_valid(const modalua_stream_class *s)
{
    return (s->write || s->read) && (!s->read || s->size);
}

bool host_objects_class_is_valid(const modalua_class *class)
{
    if (!class || !class->name)
        return false;
    if (class->struct_size == sizeof(modalua_stream_class)) {
        if (!stream_is_valid((const modalua_stream_class *)(const void *)class))
            return false;
    } else if (class->struct_size != sizeof *class) {
        return false;
    }
    for (const modalua_method *m = class->methods; m && m->name; m++)
        if (!m->function)
            return false;
    return true;
}

void *host_objects_pointer(lua_State *L, int index, const modalua_class *class)
{
    const host_object *o = host_object_to(L, index);
    return o && o->class == class && !o->closed ? o->object : NULL;
}

/* ---- methods ---- */

/* Upvalues: the class, the method. */
static int call_method(lua_State *L)
{
    const modalua_class *class = lua_touserdata(L, lua_upvalueindex(1));
    const modalua_method *m = lua_touserdata(L, lua_upvalueindex(2));
    const host_object *o = host_object_to(L, 1);
    if (!o || o->class != class)
        error_usage(L, "%s: argument 1 must be an object of %s (a %s was given): write object:%s()",
                    m->name, class->name, luaL_typename(L, 1), m->name);
    if (o->closed || !o->object)
        error_usage(L, "%s: the object of %s is closed", m->name, class->name);
    return host_functions_call(L, o->lp, m->name, m->function, o->object, 1);
}

static int object_close(lua_State *L)
{
    host_object *o = host_object_to(L, 1);
    if (o)
        host_object_close(o);
    return 0;
}

static int object_tostring(lua_State *L)
{
    const host_object *o = host_object_to(L, 1);
    if (!o)
        return luaL_argerror(L, 1, "an object of the host is expected");
    if (o->object && !o->closed)
        lua_pushfstring(L, "%s: %p", o->class->name, o->object);
    else
        lua_pushfstring(L, "%s (closed)", o->class->name);
    return 1;
}

/* ---- making ---- */

/* [-0, +1, m] */
static void push_methods(lua_State *L, const modalua_class *class)
{
    lua_newtable(L);
    for (const modalua_method *m = class->methods; m && m->name; m++) {
        lua_pushlightuserdata(L, (void *)class);
        lua_pushlightuserdata(L, (void *)m);
        lua_pushcclosure(L, call_method, 2);
        lua_setfield(L, -2, m->name);
    }
}

/* [-0, +1, m] */
static void push_metatable(lua_State *L, const modalua_class *class)
{
    static const luaL_Reg meta[] = { { "__gc", object_close },
                                     { "__close", object_close },
                                     { "__tostring", object_tostring },
                                     { NULL, NULL } };
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, class) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    luaL_setfuncs(L, meta, 0);
    push_methods(L, class);
    lua_setfield(L, -2, "__index");
    lua_pushstring(L, class->name);
    lua_setfield(L, -2, "__name");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    host_object_mark(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, class);
}

host_object *host_objects_push(lua_State *L, loop *lp, const modalua_class *class)
{
    host_object *o = lua_newuserdatauv(L, sizeof *o, 0);
    *o = (host_object){ .lp = lp, .class = class };
    push_metatable(L, class);
    lua_setmetatable(L, -2);
    return o;
}
