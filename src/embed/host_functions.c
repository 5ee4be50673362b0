#include "embed/host_functions.h"

#include <lauxlib.h>
#include <string.h>

#include "base/utf8.h"
#include "binding/error.h"
#include "embed/host_objects.h"
#include "embed/reply.h"
#include "engine/op.h"
#include "engine/stop.h"
#include "json/encode.h"
#include "json/decode.h"
#include "json/mark.h"

#define FUNCTION (lua_upvalueindex(2))

/* A registered function: upvalue 2 of the Lua function. */
typedef struct host_function {
    loop *lp;
    modalua_function call;
    void *user;
    modalua_destroy_fn destroy; /* of user; NULL = none */
    char name[];
} host_function;

/* A call of it, an operation (engine/op.h). */
typedef struct host_call {
    op base;
    modalua_function function;
    void *user; /* kept alive by the stack of host_functions_call */
    reply_arguments arguments;
    modalua_reply *reply;
} host_call;

static void host_call_release(op *o)
{
    host_call *c = (host_call *)o;
    reply_answer a = { 0 };
    if (c->reply)
        a = reply_look(c->reply);
    if (a.object) /* the script does not get it */
        host_object_destroy(o->lp, a.class->destroy, reply_take_object(c->reply));
    reply_drop(c->reply);
    c->reply = NULL;
}

static bool host_call_is_answered(const op *o)
{
    return reply_look(((const host_call *)o)->reply).kind != REPLY_NONE;
}

/* ---- the answer ---- */

static int push_error_answer(lua_State *L, const char *name, const reply_answer *a)
{
    lua_pushnil(L);
    error_new(L, "host", a->code, "%s", a->text);
    error_set(L, "message", a->text); /* the host's own text stays as it is */
    error_set(L, "op", name);
    return 2;
}

/* JSON's null becomes nil. Bytes beside it are a second result. */
static int push_json_answer(lua_State *L, loop *lp, const char *name, const reply_answer *a)
{
    if (!json_decode(L, lp->memory, a->text, a->size))
        error_usage(L, "%s: the reply of the host cannot be read: %s", name, lua_tostring(L, -1));
    if (json_mark_is_null(L, -1))
        lua_pushnil(L);
    if (!a->bytes)
        return 1;
    lua_pushlstring(L, a->bytes, a->bytes_size);
    return 2;
}

/* Pushes the results of the Lua function, and returns their number. [-0, +n, v] */
static int push_answer(lua_State *L, host_call *c)
{
    reply_answer a = reply_look(c->reply);
    host_object *made;
    switch (a.kind) {
    case REPLY_JSON: return push_json_answer(L, c->base.lp, c->base.name, &a);
    case REPLY_TEXT: lua_pushlstring(L, a.text, a.size); return 1;
    case REPLY_ERROR: return push_error_answer(L, c->base.name, &a);
    case REPLY_OBJECT:
        made = host_objects_push(L, c->base.lp, a.class); /* may throw: the reply has the object */
        made->object = reply_take_object(c->reply);
        return 1;
    case REPLY_NONE: break;
    }
    return 0;
}

/* ---- the call ---- */

/* An op_advance_fn. The arguments, as JSON text, are below the op on the stack. */
static int host_call_advance(lua_State *L, op *o)
{
    host_call *c = (host_call *)o;
    double left;
    if (o->stage++ > 0)
        return push_answer(L, c);
    c->reply = reply_new(o->lp, true);
    if (!c->reply) {
        error_new(L, "limit", "memory", "not enough memory to call the host");
        op_throw(L, o);
    }
    reply_set_arguments(c->reply, &c->arguments);
    left = stop_enter_host(o->lp);
    c->function(c->user, lua_tostring(L, o->index - 1), c->reply);
    stop_leave_host(o->lp, left);
    reply_set_arguments(c->reply, NULL);
    if (!reply_is_kept(c->reply) || host_call_is_answered(o))
        return push_answer(L, c);
    loop_wait_external(o, host_call_is_answered); /* modalua_reply_… wakes the loop */
    return OP_WAIT;
}

/* Whether the value at index is a string that JSON cannot have. [-0, +0, -] */
static bool is_bytes(lua_State *L, int index)
{
    size_t size;
    const char *text;
    if (lua_type(L, index) != LUA_TSTRING)
        return false;
    text = lua_tolstring(L, index, &size);
    return !utf8_is_valid(text, size);
}

/* Pushes a JSON array of all values on the stack but the lowest `skip`. Objects of the host, and bytes, are
 * null: it asks for them (modalua_argument_object, modalua_argument_bytes). [-0, +1, m] */
static void pack_arguments(lua_State *L, int skip)
{
    int n = lua_gettop(L);
    lua_createtable(L, n - skip, 0);
    json_mark_array(L);
    for (int i = skip + 1; i <= n; i++) {
        if (lua_isnil(L, i) || host_object_to(L, i) || is_bytes(L, i))
            json_mark_push_null(L);
        else
            lua_pushvalue(L, i);
        lua_rawseti(L, n + 1, i - skip);
    }
}

int host_functions_call(lua_State *L, loop *lp, const char *name, modalua_function function,
                        void *user, int skip)
{
    host_call *c;
    int count = lua_gettop(L) - skip;
    luaL_checkstack(L, 4, "too many arguments");
    pack_arguments(L, skip);
    lua_pushvalue(L, FUNCTION); /* … array function: kept, even when the name is registered again */
    if (!json_encode(L, -2, NULL)) {
        lua_pushnil(L);
        error_new(L, "refused", NULL, "an argument cannot be sent as JSON: %s",
                  lua_tostring(L, -2));
        error_set(L, "op", name);
        return 2;
    }
    c = (host_call *)op_new(L, lp, sizeof *c, 0, host_call_advance, name);
    c->function = function;
    c->user = user;
    c->arguments = (reply_arguments){ L, skip, count };
    c->base.on_release = host_call_release;
    return op_run(L, &c->base);
}

/* The Lua function that scripts see. */
static int call_host(lua_State *L)
{
    const host_function *f = lua_touserdata(L, FUNCTION);
    return host_functions_call(L, f->lp, f->name, f->call, f->user, 0);
}

static int host_function_gc(lua_State *L)
{
    host_function *f = lua_touserdata(L, 1);
    host_object_destroy(f->lp, f->destroy, f->user);
    f->destroy = NULL;
    return 0;
}

void host_functions_push_function(lua_State *L, loop *lp, const char *name,
                                  modalua_function function, void *user)
{
    host_function *f;
    lua_pushlightuserdata(L, lp);
    f = lua_newuserdatauv(L, sizeof *f + strlen(name) + 1, 0);
    *f = (host_function){ .lp = lp, .call = function, .user = user };
    strcpy(f->name, name);
    lua_pushcclosure(L, call_host, 2);
}

void host_functions_own_user(lua_State *L, modalua_destroy_fn destroy)
{
    host_function *f;
    lua_getupvalue(L, -1, 2);
    f = lua_touserdata(L, -1);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, host_function_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    f->destroy = destroy;
    lua_pop(L, 1);
}

/* ---- modules ---- */

module_finder *host_functions_push_finder(lua_State *L, module_finder f)
{
    module_finder *copy = lua_newuserdatauv(L, sizeof *copy, 0);
    *copy = f;
    return copy;
}

/* Pushes the source that the host has replied, or a message that there is none. Throws the host's
 * error. [-0, +1, v] */
static reply_kind push_source(lua_State *L, const char *name, modalua_reply *reply)
{
    reply_answer a = reply_look(reply);
    if (a.kind == REPLY_ERROR)
        error_usage(L, "the host cannot give module '%s': %s", name, a.text);
    else if (a.kind == REPLY_TEXT)
        lua_pushlstring(L, a.text, a.size);
    else
        lua_pushfstring(L, "the host has no module '%s'", name);
    return a.kind;
}

static int reply_holder_gc(lua_State *L)
{
    modalua_reply **held = lua_touserdata(L, 1);
    reply_drop(*held);
    *held = NULL;
    return 0;
}

/* Pushes a userdata that can hold a reply, and drops it when it is collected. [-0, +1, m] */
static modalua_reply **push_reply_holder(lua_State *L)
{
    modalua_reply **held = lua_newuserdatauv(L, sizeof *held, 0);
    *held = NULL;
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, reply_holder_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    return held;
}

bool host_functions_find_module(lua_State *L, const module_finder *f, const char *name)
{
    modalua_reply **held = push_reply_holder(L);
    reply_kind kind;
    size_t size;
    const char *text;
    double left;
    *held = reply_new(f->lp, false);
    if (!*held)
        error_throw(L, "limit", "memory", "not enough memory to ask the host for a module");
    left = stop_enter_host(f->lp);
    f->search(f->user, name, *held);
    stop_leave_host(f->lp, left);
    kind = push_source(L, name, *held);
    reply_drop(*held);
    *held = NULL;
    lua_remove(L, -2); /* the holder */
    if (kind != REPLY_TEXT)
        return false;
    text = lua_tolstring(L, -1, &size);
    lua_pushfstring(L, "@%s", name);
    if (luaL_loadbufferx(L, text, size, lua_tostring(L, -1), "t") != LUA_OK)
        error_usage(L, "module '%s' of the host does not compile: %s", name, lua_tostring(L, -1));
    lua_replace(L, -3);
    lua_pop(L, 1);
    return true;
}

/* A searcher of package.searchers. */
static int l_search(lua_State *L)
{
    host_functions_find_module(L, lua_touserdata(L, lua_upvalueindex(1)), luaL_checkstring(L, 1));
    return 1;
}

void host_functions_add_searcher(lua_State *L, module_finder f)
{
    enum { PLACE = 2 }; /* behind the searcher of package.preload */
    int searchers;
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "searchers");
    searchers = lua_gettop(L);
    for (lua_Integer i = luaL_len(L, searchers); i >= PLACE; i--) {
        lua_geti(L, searchers, i);
        lua_seti(L, searchers, i + 1);
    }
    host_functions_push_finder(L, f);
    lua_pushcclosure(L, l_search, 1);
    lua_seti(L, searchers, PLACE);
    lua_settop(L, searchers - 2);
}
