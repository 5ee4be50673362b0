/* embed/globals.c - the functions of modalua.h that set and read globals, and register functions of
 * the host. */
#include <ctype.h>
#include <lauxlib.h>
#include <stdbool.h>
#include <string.h>

#include "base/clock.h"
#include "embed/host_functions.h"
#include "embed/host_objects.h"
#include "embed/kept.h"
#include "embed/last_error.h"
#include "json/encode.h"
#include "json/decode.h"
#include "json/mark.h"

/* ---- limits ---- */

/* The call is no run, but has the limits of one. */
static void begin_apart(modalua_runtime *rt)
{
    loop_begin(&rt->lp);
    if (rt->config.run_seconds > 0)
        loop_set_deadline(&rt->lp, clock_now() + rt->config.run_seconds);
    rt->lp.apart = true;
    stop_restart_burst(&rt->lp);
}

static void end_apart(modalua_runtime *rt)
{
    rt->lp.apart = false;
    loop_end(&rt->lp);
    runtime_reset_hook(rt);
}

/* As runtime_call, but the limits of the run under way end the call too; without a run, run_seconds,
 * burst_seconds and the first modalua_cancel. */
static int call_within_limits(modalua_runtime *rt, lua_CFunction function, protected_call *c)
{
    loop *lp = &rt->lp;
    bool apart = !rt->root;
    double grace_end = lp->kill_grace_end;
    int status;
    if (rt->busy)
        return MODALUA_E_BUSY;
    if (apart)
        begin_apart(rt);
    status = runtime_call(rt, function, c);
    if (status == MODALUA_E_SCRIPT && lp->stop == LOOP_KILL) {
        status = lp->reason == REASON_CANCELLED ? MODALUA_E_CANCELLED : MODALUA_E_LIMIT;
        last_error_set_status(rt, status);
    }
    if (apart)
        end_apart(rt);
    else
        lp->kill_grace_end = grace_end; /* the <close> variables of the run have had no time yet */
    return status;
}

/* ---- names ---- */

/* Whether the name is a Lua name, or several with dots between them. */
static bool is_path(const char *name)
{
    for (;;) {
        size_t n = 0;
        while (isalnum((unsigned char)name[n]) || name[n] == '_')
            n++;
        if (n == 0 || isdigit((unsigned char)name[0]) || (name[n] != '\0' && name[n] != '.'))
            return false;
        if (name[n] == '\0')
            return true;
        name += n + 1;
    }
}

/* Pushes the table that holds the last field of the path, and returns the name of that field. Calls
 * no metamethod. With `make`, makes the tables on the way that are missing. NULL: a value on the
 * way is no table; pushes that value. [-0, +1, m] */
static const char *push_holder(lua_State *L, const char *path, bool make)
{
    const char *dot;
    lua_pushglobaltable(L);
    for (; (dot = strchr(path, '.')); path = dot + 1) {
        lua_pushlstring(L, path, (size_t)(dot - path));
        if (make) {
            lua_pushvalue(L, -1);
            if (lua_rawget(L, -3) == LUA_TNIL) {
                lua_pushvalue(L, -2);
                lua_newtable(L);
                lua_rawset(L, -5);
            }
            lua_pop(L, 1);
        }
        lua_rawget(L, -2);
        lua_replace(L, -2);
        if (!lua_istable(L, -1))
            return NULL;
    }
    return path;
}

/* The call fails: a value on the way of its path is no table. [-0, +0, v] */
static void fail_without_table(lua_State *L, protected_call *c)
{
    c->status = MODALUA_E_INVALID;
    lua_pushfstring(L, "'%s' cannot be used: a field on its path is not a table", c->name);
    last_error_set(L, c->rt, c->status, lua_gettop(L), 0);
    lua_pop(L, 1);
}

/* Sets the global that the call names to the value on the top. [-1, +0, m] */
static void set_global(lua_State *L, protected_call *c)
{
    const char *field = push_holder(L, c->name, !lua_isnil(L, -1));
    if (!field && lua_isnil(L, -1) && lua_isnil(L, -2))
        return; /* nil, and the table that would hold it does not exist */
    if (!field) {
        fail_without_table(L, c);
        return;
    }
    lua_insert(L, -2);
    lua_pushstring(L, field);
    lua_insert(L, -2);
    lua_rawset(L, -3);
}

/* ---- globals ---- */

static int set_global_p(lua_State *L)
{
    protected_call *c = lua_touserdata(L, 1);
    lua_settop(L, 0);
    if (!c->text)
        lua_pushnil(L);
    else if (!json_decode(L, &c->rt->memory, c->text, strlen(c->text)))
        return luaL_error(L, "the value of '%s' is not JSON: %s", c->name, lua_tostring(L, -1));
    if (json_mark_is_null(L, -1)) {
        lua_pop(L, 1);
        lua_pushnil(L);
    }
    set_global(L, c);
    return 0;
}

int modalua_set_global(modalua_runtime *rt, const char *name, const char *json)
{
    protected_call c = { .name = name, .text = json };
    return rt && name && is_path(name) ? call_within_limits(rt, set_global_p, &c)
                                       : last_error_invalid_argument(rt);
}

/* Sets c->text to the global as JSON; to NULL when there is none. */
static int get_global_p(lua_State *L)
{
    protected_call *c = lua_touserdata(L, 1);
    const char *field = push_holder(L, c->name, false);
    if (!field && lua_isnil(L, -1))
        return 0;
    if (!field) {
        fail_without_table(L, c);
        return 0;
    }
    lua_pushstring(L, field);
    if (lua_rawget(L, -2) == LUA_TNIL)
        return 0;
    if (!json_encode(L, lua_gettop(L), NULL))
        return luaL_error(L, "'%s' cannot be JSON: %s", c->name, lua_tostring(L, -1));
    c->text = kept_set(L, KEPT_GLOBAL);
    return 0;
}

int modalua_get_global(modalua_runtime *rt, const char *name, const char **json_out)
{
    protected_call c = { .name = name };
    int status;
    if (json_out)
        *json_out = NULL;
    if (!rt || !name || !is_path(name) || !json_out)
        return last_error_invalid_argument(rt);
    status = call_within_limits(rt, get_global_p, &c);
    *json_out = status == MODALUA_OK ? c.text : NULL;
    return status;
}

/* ---- functions and objects ---- */

/* Registers a function, or an object when it has a class. */
typedef struct register_call {
    protected_call base;
    modalua_function function;
    const modalua_class *class;
    void *user; /* or the object */
    modalua_destroy_fn destroy;
    bool taken; /* the state owns `user` */
} register_call;

static int register_p(lua_State *L)
{
    register_call *r = lua_touserdata(L, 1);
    loop *lp = &r->base.rt->lp;
    if (r->class) {
        host_objects_push(L, lp, r->class)->object = r->user;
    } else if (r->function) {
        host_functions_push_function(L, lp, r->base.name, r->function, r->user);
        if (r->destroy)
            host_functions_own_user(L, r->destroy);
    } else {
        lua_pushnil(L);
        set_global(L, &r->base);
        return 0;
    }
    r->taken = true;
    set_global(L, &r->base);
    return 0;
}

/* When the state has not taken it, `user` is destroyed. */
static int do_register(modalua_runtime *rt, register_call *r, bool valid)
{
    int status = rt && r->base.name && valid && is_path(r->base.name)
                     ? runtime_call(rt, register_p, &r->base)
                     : last_error_invalid_argument(rt);
    if (!r->taken && r->destroy)
        r->destroy(r->user);
    return status;
}

int modalua_register(modalua_runtime *rt, const char *name, modalua_function function, void *user)
{
    register_call r = { .base = { .name = name }, .function = function, .user = user };
    return do_register(rt, &r, true);
}

int modalua_register_owned(modalua_runtime *rt, const char *name, modalua_function function,
                           void *user, modalua_destroy_fn destroy)
{
    register_call r = {
        .base = { .name = name }, .function = function, .user = user, .destroy = destroy
    };
    return do_register(rt, &r, true);
}

int modalua_set_object(modalua_runtime *rt, const char *name, const modalua_class *class,
                       void *object)
{
    bool valid = object && host_objects_class_is_valid(class);
    register_call r = { .base = { .name = name },
                        .class = class,
                        .user = object,
                        .destroy = valid ? class->destroy : NULL };
    return do_register(rt, &r, valid);
}
