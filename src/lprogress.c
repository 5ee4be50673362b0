#include "lprogress.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "lcall.h"
#include "ldoc.h"
#include "lerror.h"

#define GAP  0.1  /* seconds between two reports */
#define TICK 0.25 /* after which an exchange that is under way is looked at */

static const char bar_key; /* of the function that shows a bar, in the registry */

void lprogress_set_bar(lua_State *L)
{
    lua_rawsetp(L, LUA_REGISTRYINDEX, &bar_key);
}

void lprogress_read(lua_State *L, int options, int call_index, const char *function)
{
    call *c = lua_touserdata(L, call_index);
    int type = lua_istable(L, options) ? lua_getfield(L, options, "progress") : LUA_TNIL;
    if (type == LUA_TNIL || (type == LUA_TBOOLEAN && !lua_toboolean(L, -1))) {
        lua_settop(L, lua_gettop(L) - (lua_istable(L, options) ? 1 : 0));
        return;
    }
    if (type == LUA_TBOOLEAN) {
        lua_pop(L, 1);
        lua_rawgetp(L, LUA_REGISTRYINDEX, &bar_key);
    } else if (type != LUA_TFUNCTION) {
        lerror_usage(L, "%s: option 'progress' must be true or a function (a %s was given)",
                     function, luaL_typename(L, -1));
    }
    lcall_keep(L, call_index, "progress", -1);
    lua_pop(L, 1);
    c->progress.on = true;
    c->progress.begun = clock_now();
    c->progress.done = c->progress.total = -1;
    c->base.tick = TICK;
}

const char *lprogress_state(const char *state)
{
    static const char *const states[] = { "Pending", "Running", "Paused", "Retry",
                                          "Success", "Failure", NULL };
    for (size_t i = 0; states[i]; i++)
        if (strcmp(states[i], state) == 0)
            return states[i];
    return "Running";
}

static void set_number(lua_State *L, const char *field, double value)
{
    if (value < 0)
        return;
    if (value == (double)(lua_Integer)value)
        lua_pushinteger(L, (lua_Integer)value);
    else
        lua_pushnumber(L, value);
    lua_setfield(L, -2, field);
}

/* A file's bytes are the transfer's to know. */
static void look_at_bytes(call *c)
{
    const http_transfer *t = &c->base.transfer;
    if (!c->request.source && !c->request.sink)
        return;
    c->progress.unit = "bytes";
    c->progress.done = (double)t->moved;
    c->progress.total = t->total > 0 ? (double)t->total : -1;
}

static void tell(lua_State *L, call *c, const char *state, bool over)
{
    progress *p = &c->progress;
    double now = clock_now();
    luaL_checkstack(L, 8, "progress");
    look_at_bytes(c);
    p->next = now + GAP;
    lcall_push_data(L, c);
    lua_getfield(L, -1, "progress");
    lua_remove(L, -2);
    lua_createtable(L, 0, 8);
    lua_pushstring(L, c->base.name);
    lua_setfield(L, -2, "op");
    lua_pushstring(L, state);
    lua_setfield(L, -2, "state");
    lua_pushnumber(L, now - p->begun);
    lua_setfield(L, -2, "seconds");
    set_number(L, "done", p->done);
    set_number(L, "total", p->total);
    if (p->unit)
        lua_pushstring(L, p->unit);
    else
        lua_pushnil(L);
    lua_setfield(L, -2, "unit");
    lua_pushboolean(L, over);
    lua_setfield(L, -2, "over");
    op_call_back(L, &c->base);
}

void lprogress_report(lua_State *L, call *c)
{
    progress *p = &c->progress;
    if (p->on && clock_now() >= p->next)
        tell(L, c, p->state ? p->state : "Running", false);
}

void lprogress_end(lua_State *L, call *c, bool good)
{
    if (!c->progress.on)
        return;
    c->progress.on = false;
    if (good && c->progress.total >= 0)
        c->progress.done = c->progress.total;
    tell(L, c, good ? "Success" : "Failure", true);
}

int lprogress_show(lua_State *L)
{
    const loop *lp = ldoc_loop(L);
    size_t size;
    const char *text = luaL_checklstring(L, 1, &size);
    if (lp->show)
        lp->show(lp->show_user, text, size);
    else if (!lp->owned && isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[K%s", text);
    return 0;
}
