#include "lcall.h"

#include <lauxlib.h>
#include <stdarg.h>
#include <string.h>

#include "clock.h"
#include "lanswer.h"
#include "lencode.h"
#include "lerror.h"
#include "orthanc_routes.h"

enum { UV_CLIENT = 1, UV_PATH, UV_BODY, UV_DATA, UV_COUNT = UV_DATA };

/* Less would be no time at all. */
#define SECONDS_LEAST 0.001

/* ---- life ---- */

static int advance(lua_State *L, op *o)
{
    call *c = (call *)o;
    lua_settop(L, o->index);
    return c->step(L, c);
}

call *lcall_new(lua_State *L, loop *lp, size_t size, int client_index, const char *name,
                call_step first)
{
    call *c;
    client_index = lua_absindex(L, client_index);
    c = (call *)op_new(L, lp, size, UV_COUNT, advance, name);
    c->client = lclient_check(L, client_index);
    c->step = first;
    lua_pushvalue(L, client_index);
    lua_setiuservalue(L, -2, UV_CLIENT);
    lua_newtable(L);
    lua_setiuservalue(L, -2, UV_DATA);
    return c;
}

void lcall_set_deadline(call *c, double seconds)
{
    c->deadline = seconds > 0 ? clock_now() + seconds : 0;
}

void lcall_push_data(lua_State *L, const call *c)
{
    lua_getiuservalue(L, c->base.index, UV_DATA);
}

void lcall_keep(lua_State *L, int call_index, const char *name, int index)
{
    index = lua_absindex(L, index);
    lua_getiuservalue(L, call_index, UV_DATA);
    lua_pushvalue(L, index);
    lua_setfield(L, -2, name);
    lua_pop(L, 1);
}

void lcall_keep_route(lua_State *L, int call_index)
{
    call *c = lua_touserdata(L, call_index);
    lcall_keep(L, call_index, "path", -1);
    c->route = lua_tostring(L, -1); /* the table of data keeps it */
    lua_pop(L, 1);
}

/* ---- requests ---- */

/* Of an exchange that may take `limit` (0 = any), and the call its deadline. */
static double seconds_left(const call *c, double limit)
{
    double left;
    if (c->deadline == 0)
        return limit;
    left = c->deadline - clock_now();
    if (left < SECONDS_LEAST)
        left = SECONDS_LEAST;
    return limit > 0 && limit < left ? limit : left;
}

/* The path is on the top, and taken. */
static int start(lua_State *L, call *c, call_step next, const char *method, call_work work)
{
    http_request *r = &c->request;
    r->method = method;
    r->path = lua_tostring(L, -1);
    r->side_effects = work == CALL_REMOTE || work == CALL_CHANGE;
    r->timeout =
        seconds_left(c, work == CALL_LOCAL || work == CALL_CHANGE ? c->client->timeout : 0);
    lua_setiuservalue(L, c->base.index, UV_PATH);
    c->step = next;
    return op_request(L, &c->base, c->client->server, r);
}

int lcall_get(lua_State *L, call *c, call_step next, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    lua_pushvfstring(L, format, args);
    va_end(args);
    c->request.body = NULL;
    c->request.body_size = 0;
    c->request.content_type = NULL;
    return start(L, c, next, "GET", CALL_LOCAL);
}

int lcall_post(lua_State *L, call *c, call_step next, call_work work, const char *format, ...)
{
    va_list args;
    if (!ljson_encode(L, -1, NULL))
        return lcall_fail(L, c, "refused", NULL, "this cannot be sent: %s", lua_tostring(L, -1));
    c->request.body = lua_tolstring(L, -1, &c->request.body_size);
    c->request.content_type = "application/json";
    lua_setiuservalue(L, c->base.index, UV_BODY);
    va_start(args, format);
    lua_pushvfstring(L, format, args);
    va_end(args);
    return start(L, c, next, "POST", work);
}

/* ---- outcomes ---- */

int lcall_answer(lua_State *L, call *c)
{
    int results = lanswer_push(L, &c->base);
    if (results == 2 && c->deadline > 0 && c->base.transfer.curl_code == CURLE_OPERATION_TIMEDOUT &&
        clock_now() >= c->deadline) {
        lua_pushboolean(L, 1);
        lua_setfield(L, -2, "still_running");
    }
    return results;
}

bool lcall_may_pass(lua_State *L, const call *c, double heard)
{
    double patience = c->client->timeout;
    bool passing;
    lua_getfield(L, -1, "retryable");
    passing = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return passing && (patience == 0 || clock_now() - heard < patience);
}

void lcall_set_origin(lua_State *L, const call *c)
{
    lerror_set(L, "op", c->base.name);
    lerror_set(L, "method", c->route ? "POST" : c->request.method);
    lerror_set(L, "path", c->route ? c->route : c->request.path);
}

int lcall_fail(lua_State *L, const call *c, const char *kind, const char *code, const char *format,
               ...)
{
    va_list args;
    va_start(args, format);
    lua_pushvfstring(L, format, args);
    va_end(args);
    lerror_from_message(L, kind, code);
    lcall_set_origin(L, c);
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
}

/* ---- the server's version ---- */

static int version_answered(lua_State *L, call *c)
{
    if (lcall_answer(L, c) != 1)
        return 2;
    c->client->version = ORTHANC_UNKNOWN;
    if (lua_istable(L, -1) && lua_getfield(L, -1, "Version") == LUA_TSTRING) {
        int version = orthanc_version_parse(lua_tostring(L, -1));
        if (version > 0)
            c->client->version = version;
    }
    lua_settop(L, c->base.index);
    return c->after(L, c);
}

int lcall_need_version(lua_State *L, call *c, call_step next)
{
    if (c->client->version > 0)
        return next(L, c);
    c->after = next;
    return lcall_get(L, c, version_answered, "/system");
}
