#include "request/progress.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/terminal.h"
#include "binding/doc.h"
#include "binding/error.h"
#include "binding/parts.h"

#define INTERVAL 0.1 /* seconds between two reports */

bool progress_take(lua_State *L, int options, const char *function, progress *p)
{
    int top = lua_gettop(L);
    int type = lua_istable(L, options) ? lua_getfield(L, options, "progress") : LUA_TNIL;
    if (type == LUA_TNIL || (type == LUA_TBOOLEAN && !lua_toboolean(L, -1))) {
        lua_settop(L, top);
        return false;
    }
    if (type == LUA_TBOOLEAN) {
        lua_settop(L, top);
        parts_push_function(L, "core.progress_bar", "bar");
    } else if (type != LUA_TFUNCTION) {
        error_usage(L, "%s: option 'progress' must be true or a function (a %s was given)",
                    function, luaL_typename(L, -1));
    }
    p->on = true;
    p->bar = type == LUA_TBOOLEAN;
    p->begun = clock_now();
    p->done = p->total = -1;
    return true;
}

/* The state as a static string. */
static const char *static_state(const char *state)
{
    static const char *const states[] = { "Pending", "Running", "Paused", "Retry",
                                          "Success", "Failure", NULL };
    for (size_t i = 0; states[i]; i++)
        if (strcmp(states[i], state) == 0)
            return states[i];
    return "Running";
}

bool progress_is_due(progress *p, const char *state)
{
    if (state)
        p->state = static_state(state);
    return p->on && clock_now() >= p->next;
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

/* Of a file that is sent or received, the transfer counts the bytes. */
static void take_bytes(const http_transfer *t, progress *p)
{
    if (!t->request.source && !t->request.sink)
        return;
    p->unit = "bytes";
    p->done = (double)t->moved;
    p->total = t->total > 0 ? (double)t->total : -1;
}

static void push_report(lua_State *L, const op *o, progress *p, const char *state, bool over)
{
    double now = clock_now();
    luaL_checkstack(L, 8, "progress");
    p->next = now + INTERVAL;
    lua_createtable(L, 0, 8);
    lua_pushstring(L, o->name);
    lua_setfield(L, -2, "op");
    lua_pushstring(L, state);
    lua_setfield(L, -2, "state");
    lua_pushnumber(L, now - p->begun);
    lua_setfield(L, -2, "seconds");
    set_number(L, "done", p->done);
    set_number(L, "total", p->total);
    lua_pushstring(L, p->unit); /* nil when the unit is not known */
    lua_setfield(L, -2, "unit");
    lua_pushboolean(L, over);
    lua_setfield(L, -2, "over");
}

void progress_push_report(lua_State *L, const op *o, progress *p)
{
    take_bytes(&o->transfer, p);
    push_report(L, o, p, p->state ? p->state : "Running", false);
}

void progress_push_last(lua_State *L, const op *o, progress *p, bool good)
{
    take_bytes(&o->transfer, p);
    p->on = false;
    if (good && p->total >= 0)
        p->done = p->total;
    push_report(L, o, p, good ? "Success" : "Failure", true);
}

void progress_tell_after(lua_State *L, const op *o, progress *p)
{
    int report = lua_gettop(L) + 1;
    luaL_checkstack(L, 8, "progress");
    p->on = false;
    lua_createtable(L, 0, 8);
    lua_pushstring(L, o->name);
    lua_setfield(L, report, "op");
    lua_pushnumber(L, p->begun);
    lua_setfield(L, report, "begun");
    set_number(L, "done", p->done);
    set_number(L, "total", p->total);
    lua_pushstring(L, p->unit);
    lua_setfield(L, report, "unit");
    lua_pushboolean(L, p->bar);
    lua_setfield(L, report, "bar");
    parts_push_function(L, "core.progress_bar", "report_after");
    lua_insert(L, o->index + 1);
    lua_rotate(L, o->index + 2, 2); /* report_after tell report, and what it calls */
}

static void show(const loop *lp, const char *text, size_t size)
{
    if (lp->show)
        lp->show(lp->show_user, text, size);
    else if (!lp->owned && isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[K%.*s", (int)size, text);
}

void progress_abandon(const loop *lp, progress *p)
{
    if (p->on && p->bar)
        show(lp, "", 0);
    p->on = false;
}

static int show_text(lua_State *L, shown_style style)
{
    size_t size;
    const char *text, *line_end;
    const loop *lp = doc_loop(L);
    luaL_checkstring(L, 1);
    lua_settop(L, 1);
    error_make_shown(L, style); /* the state of a job is the server's text */
    text = lua_tolstring(L, 1, &size);
    line_end = lp->show ? NULL : memchr(text, '\n', size);
    show(lp, text, line_end ? (size_t)(line_end - text) : size);
    return 0;
}

int progress_show(lua_State *L)
{
    return show_text(L, SHOWN_LINE);
}

int progress_show_lines(lua_State *L)
{
    return show_text(L, SHOWN_LINES);
}

int progress_terminal_columns(lua_State *L)
{
    if (!isatty(STDERR_FILENO))
        return 0;
    lua_pushinteger(L, (lua_Integer)terminal_width(STDERR_FILENO));
    return 1;
}
