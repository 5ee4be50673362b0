#include "request/call.h"

#include <lauxlib.h>
#include <stdarg.h>
#include <string.h>

#include "base/clock.h"
#include "binding/error.h"
#include "json/encode.h"
#include "request/response.h"

enum { UV_CLIENT = 1, UV_PATH, UV_BODY, UV_DATA, UV_COUNT = UV_DATA };

enum { GAP_SHARE = 8 };

#define TICK 0.25 /* seconds after which progress looks at an exchange that is under way */

/* Less would be no time at all. */
#define SECONDS_LEAST 0.001

/* libcurl counts whole milliseconds, and ends a transfer that much before its time is over. */
#define SECONDS_EARLY 0.005

/* ---- life ---- */

static void push_listener(lua_State *L, const call *c)
{
    call_push_data(L, c);
    lua_getfield(L, -1, "progress");
    lua_remove(L, -2);
}

void call_report(lua_State *L, call *c)
{
    if (!progress_is_due(&c->progress))
        return;
    push_listener(L, c);
    progress_tell(L, &c->base, &c->progress);
}

/* The results are on the top. */
static void last_error_end(lua_State *L, call *c, int results)
{
    bool good = results == OP_CALL || (results > 0 && lua_toboolean(L, -results));
    if (!c->progress.on)
        return;
    push_listener(L, c);
    progress_tell_end(L, &c->base, &c->progress, good);
}

/* The callback may wait for others, and the exchange end meanwhile. */
static bool goes_on(lua_State *L, call *c)
{
    if (c->base.tick > 0 && op_is_under_way(&c->base))
        call_report(L, c);
    return c->base.tick > 0 && op_is_under_way(&c->base);
}

static int advance(lua_State *L, op *o)
{
    call *c = (call *)o;
    int results;
    lua_settop(L, o->index);
    if (goes_on(L, c))
        return op_wait_on(L, o);
    results = c->step(L, c);
    if (results != OP_WAIT)
        last_error_end(L, c, results);
    return results;
}

call *call_new(lua_State *L, loop *lp, size_t size, int client_index, const char *name,
               call_step first)
{
    call *c;
    client_index = lua_absindex(L, client_index);
    c = (call *)op_new(L, lp, size, UV_COUNT, advance, name);
    c->client = client_check(L, client_index);
    c->step = first;
    c->method = "POST";
    lua_pushvalue(L, client_index);
    lua_setiuservalue(L, -2, UV_CLIENT);
    lua_newtable(L);
    lua_setiuservalue(L, -2, UV_DATA);
    return c;
}

void call_set_deadline(call *c, double seconds)
{
    c->deadline = seconds > 0 ? clock_now() + seconds : 0;
}

void call_push_data(lua_State *L, const call *c)
{
    lua_getiuservalue(L, c->base.index, UV_DATA);
}

void call_keep(lua_State *L, int call_index, const char *name, int index)
{
    index = lua_absindex(L, index);
    lua_getiuservalue(L, call_index, UV_DATA);
    lua_pushvalue(L, index);
    lua_setfield(L, -2, name);
    lua_pop(L, 1);
}

void call_released(op *o)
{
    progress_abandon(o->lp, &((call *)o)->progress);
}

void call_set_progress(lua_State *L, int options, int call_index)
{
    call *c = lua_touserdata(L, call_index);
    if (!progress_take(L, options, c->base.name, &c->progress))
        return;
    c->base.tick = TICK;
    if (!c->base.released)
        c->base.released = call_released;
    call_keep(L, call_index, "progress", -1);
    lua_pop(L, 1);
}

const option call_timeout_rows[] = { CALL_TIMEOUT_ROW(0), OPTIONS_END };

const option call_wait_rows[] = { CALL_TIMEOUT_ROW(0), CALL_PROGRESS_ROW, OPTIONS_END };

void call_read_wait(lua_State *L, int options, call *c, const option *rows)
{
    double wait_timeout = 0;
    options_read(L, options, c->base.name, rows, &wait_timeout);
    call_set_deadline(c, wait_timeout);
    call_set_progress(L, options, lua_gettop(L));
}

void call_keep_route(lua_State *L, int call_index)
{
    call *c = lua_touserdata(L, call_index);
    call_keep(L, call_index, "path", -1);
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

int call_start(lua_State *L, call *c, call_step next, const char *method, call_work work)
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

/* Of the table on the top. False: nil and an error are pushed. */
static bool set_body(lua_State *L, call *c)
{
    if (!json_encode(L, -1, NULL)) {
        call_fail(L, c, "refused", NULL, "this cannot be sent: %s", lua_tostring(L, -1));
        return false;
    }
    c->request.body = lua_tolstring(L, -1, &c->request.body_size);
    c->request.content_type = "application/json";
    lua_setiuservalue(L, c->base.index, UV_BODY);
    return true;
}

int call_request(lua_State *L, call *c, call_step next, const char *method, call_work work,
                 const char *format, ...)
{
    va_list args;
    c->request.body = NULL;
    c->request.body_size = 0;
    c->request.content_type = NULL;
    if (method[0] == 'P' && !set_body(L, c))
        return 2;
    va_start(args, format);
    lua_pushvfstring(L, format, args);
    va_end(args);
    return call_start(L, c, next, method, work);
}

double call_gap(const call *c, double begun, double least, double most)
{
    double now = clock_now(), gap = (now - begun) / GAP_SHARE;
    if (c->deadline > 0 && now >= c->deadline)
        return 0;
    if (gap < least)
        gap = least;
    if (gap > most)
        gap = most;
    return c->deadline > 0 && now + gap > c->deadline ? c->deadline - now : gap;
}

/* ---- outcomes ---- */

int call_answer(lua_State *L, call *c)
{
    int results = response_push_data(L, &c->base);
    if (results == 2 && c->deadline > 0 && c->base.transfer.curl_code == CURLE_OPERATION_TIMEDOUT &&
        clock_now() >= c->deadline - SECONDS_EARLY) {
        lua_pushboolean(L, 1);
        lua_setfield(L, -2, "still_running");
    }
    return results;
}

bool call_may_pass(lua_State *L, const call *c, double heard)
{
    double patience = c->client->timeout;
    bool passing;
    lua_getfield(L, -1, "retryable");
    passing = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return passing && (patience == 0 || clock_now() - heard < patience);
}

void call_set_origin(lua_State *L, const call *c)
{
    error_set(L, "op", c->base.name);
    error_set(L, "method", c->route ? c->method : c->request.method);
    error_set(L, "path", c->route ? c->route : c->request.path);
}

int call_fail(lua_State *L, const call *c, const char *kind, const char *code, const char *format,
              ...)
{
    va_list args;
    va_start(args, format);
    lua_pushvfstring(L, format, args);
    va_end(args);
    error_from_message(L, kind, code);
    call_set_origin(L, c);
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
}

/* ---- the server's version ---- */

int call_unsupported(lua_State *L, const call *c, const char *what, int since)
{
    int has = c->client->version;
    return call_fail(L, c, "orthanc", "unsupported",
                     "this server is Orthanc %d.%d.%d, and %s came with %d.%d.%d", has / 10000,
                     has / 100 % 100, has % 100, what, since / 10000, since / 100 % 100,
                     since % 100);
}

bool call_lacks_key(lua_State *L, const call *c, const orthanc_key *key)
{
    if (!key || c->client->version >= key->since)
        return false;
    lua_pushfstring(L, "'%s' of %s", key->name, c->base.name);
    call_unsupported(L, c, lua_tostring(L, -1), key->since);
    lua_remove(L, -3);
    return true;
}

static int version_answered(lua_State *L, call *c)
{
    if (call_answer(L, c) != 1)
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

int call_need_version(lua_State *L, call *c, call_step next)
{
    if (c->client->version > 0)
        return next(L, c);
    c->after = next;
    return call_get(L, c, version_answered, "/system");
}
