#include "request/call.h"

#include <lauxlib.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "binding/error.h"
#include "engine/cleanup.h"
#include "engine/timer.h"
#include "json/encode.h"
#include "orthanc/body_keys.h"
#include "request/redact.h"
#include "request/response.h"
#include "request/version.h"

enum { UV_CLIENT = 1, UV_PATH, UV_BODY, UV_DATA, UV_COUNT = UV_DATA };

enum { POLL_SHARE = 8 }; /* a poll comes late by at most 1/8 of the time waited */

/* Seconds between two reports of a request that is running. */
#define REPORT_INTERVAL 0.25

/* The shortest time limit of a request: for libcurl 0 ms means no limit. */
#define TIMEOUT_LEAST 0.001

/* libcurl counts whole milliseconds, so a request can time out this much before the deadline. */
#define TIMEOUT_EARLY 0.005

/* ---- running ---- */

void call_report(call *c, const char *state)
{
    c->reports = progress_is_due(&c->progress, state);
}

/* The op waits. When a report is due, pushes what OP_REPORT needs. */
static int call_wait(lua_State *L, call *c)
{
    if (!c->reports)
        return OP_WAIT;
    c->reports = false;
    call_push(L, c, "progress");
    progress_push_report(L, &c->op, &c->progress);
    return OP_REPORT;
}

/* The last report. The results of the operation are on the top; or (OP_CALL) a function that gives them
 * and its arguments, which are replaced by a function that reports after that. */
static int report_end(lua_State *L, call *c, int results)
{
    bool good = results > 0 && lua_toboolean(L, -results);
    call_push(L, c, "progress");
    if (results == OP_CALL) {
        progress_tell_after(L, &c->op, &c->progress);
        return OP_CALL;
    }
    progress_push_last(L, &c->op, &c->progress, good);
    c->op.results = results;
    return OP_LAST_REPORT;
}

/* Whether call_advance was called only to report: the request has not ended. */
static bool is_only_report(const call *c)
{
    return c->op.progress_interval > 0 && op_request_is_running(&c->op);
}

static void remove_query(lua_State *L, call *c);

/* The caller's deadline has passed before the answer came. */
static int fail_late(lua_State *L, const call *c);

static bool needs_version(const call *c)
{
    return c->needs.version || c->needs.since > 0 || c->needs.key;
}

static int call_advance(lua_State *L, op *o)
{
    call *c = (call *)o;
    int results;
    lua_settop(L, o->index);
    if (is_only_report(c)) {
        op_keep_waiting(L, o);
        call_report(c, NULL);
        return call_wait(L, c);
    }
    if (!c->started && needs_version(c))
        results = version_ask(L, c, c->step);
    else
        results = c->step(L, c);
    c->started = true;
    if (c->query[0] && results > 0 && !lua_toboolean(L, -results))
        remove_query(L, c);
    if (results == OP_WAIT)
        return call_wait(L, c);
    return c->progress.on && !c->progress.partial ? report_end(L, c, results) : results;
}

call *call_new(lua_State *L, loop *lp, size_t size, int client_index, const char *name,
               call_step first)
{
    call *c;
    client_index = lua_absindex(L, client_index);
    c = (call *)op_new(L, lp, size, UV_COUNT, call_advance, name);
    c->client = client_check(L, client_index);
    c->step = first;
    c->method = "POST";
    lua_pushvalue(L, client_index);
    lua_setiuservalue(L, -2, UV_CLIENT);
    lua_newtable(L);
    lua_setiuservalue(L, -2, UV_DATA);
    return c;
}

void call_push_data(lua_State *L, const call *c)
{
    lua_getiuservalue(L, c->op.index, UV_DATA);
}

void call_push(lua_State *L, const call *c, const char *name)
{
    call_push_data(L, c);
    lua_getfield(L, -1, name);
    lua_remove(L, -2);
}

void call_push_client(lua_State *L, const call *c)
{
    lua_getiuservalue(L, c->op.index, UV_CLIENT);
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
    if (!progress_take(L, options, c->op.name, &c->progress))
        return;
    c->op.progress_interval = REPORT_INTERVAL;
    if (!c->op.on_release)
        c->op.on_release = call_released;
    call_keep(L, call_index, "progress", -1);
    lua_pop(L, 1);
}

const option call_timeout_rows[] = { CALL_TIMEOUT_ROW(0), OPTIONS_END };

const option call_wait_rows[] = { CALL_TIMEOUT_ROW(0), CALL_PROGRESS_ROW, OPTIONS_END };

void call_read_wait(lua_State *L, int options, call *c, const option *rows)
{
    double wait_timeout = 0;
    options_read(L, options, c->op.name, rows, &wait_timeout);
    c->deadline = clock_after(wait_timeout);
    call_set_progress(L, options, lua_gettop(L));
}

void call_set_route(lua_State *L, int call_index)
{
    call *c = lua_touserdata(L, call_index);
    call_keep(L, call_index, "path", -1);
    c->route = lua_tostring(L, -1); /* the data keep it alive */
    lua_pop(L, 1);
}

/* ---- requests ---- */

/* The time limit of a request: `limit` (0 = none) or the time until the deadline, whichever is
 * shorter. 0 = none. */
static double request_timeout(const call *c, double limit)
{
    double left;
    if (c->deadline == 0)
        return limit;
    left = c->deadline - clock_now();
    if (left < TIMEOUT_LEAST)
        left = TIMEOUT_LEAST;
    return limit > 0 && limit < left ? limit : left;
}

int call_start(lua_State *L, call *c, call_step next, const char *method, call_work work)
{
    http_request *r = &c->request;
    r->method = method;
    r->path = lua_tostring(L, -1);
    r->side_effects = work == CALL_REMOTE || work == CALL_CHANGE;
    r->timeout =
        request_timeout(c, work == CALL_LOCAL || work == CALL_CHANGE ? c->client->timeout : 0);
    lua_setiuservalue(L, c->op.index, UV_PATH);
    c->step = next;
    return op_request(L, &c->op, c->client->server, r);
}

/* Encodes the table on the top as the body. False: nil and an error are pushed. */
static bool set_body(lua_State *L, call *c)
{
    if (!json_encode(L, -1, NULL)) {
        call_fail(L, c, "refused", NULL, "the body cannot be sent as JSON: %s",
                  lua_tostring(L, -1));
        return false;
    }
    c->request.body = lua_tolstring(L, -1, &c->request.body_size);
    c->request.content_type = "application/json";
    lua_setiuservalue(L, c->op.index, UV_BODY);
    return true;
}

int call_request(lua_State *L, call *c, call_step next, const char *method, call_work work,
                 const char *format, ...)
{
    va_list args;
    char key[BODY_KEY];
    c->request.body = NULL;
    c->request.body_size = 0;
    c->request.content_type = NULL;
    if (method[0] == 'P' && !set_body(L, c))
        return 2;
    va_start(args, format);
    lua_pushvfstring(L, format, args);
    va_end(args);
    if (c->request.body &&
        body_keys_find(lua_tostring(L, -1), c->request.body, c->request.body_size, key))
        return call_fail(L, c, "refused", NULL, BODY_KEYS_MESSAGE, key);
    if (c->request.body && redact_is_in(http_server_path(c->client->server), lua_tostring(L, -1),
                                        c->request.body, c->request.body_size))
        return call_fail(L, c, "refused", NULL, REDACT_MESSAGE);
    return call_start(L, c, next, method, work);
}

/* ---- queries ---- */

static http_request query_removal(call *c)
{
    http_request r = { .method = "DELETE", .path = c->query_path, .timeout = c->client->timeout };
    snprintf(c->query_path, sizeof c->query_path, "/queries/%s", c->query);
    return r;
}

/* The call, which has ended, becomes the cleanup request. */
static void remove_query(lua_State *L, call *c)
{
    http_request r = query_removal(c);
    cleanup_take_over(L, &c->op, &r, NULL);
}

/* The answer to the POST of a call that has ended names the query, which can be removed now. */
static bool remove_named_query(op *o)
{
    call *c = (call *)o;
    http_request r;
    if (!orthanc_answer_id(o->transfer.body, c->query))
        return false;
    r = query_removal(c);
    return op_send(o, c->client->server, &r);
}

static void call_stop_query(lua_State *L, op *o, bool detached)
{
    call *c = (call *)o;
    (void)detached; /* the query is of no use without the result that names it */
    if (o->keeps_request) {
        if (o->transfer.state == HTTP_RUNNING || o->transfer.state == HTTP_DONE)
            cleanup_take_over(L, o, NULL, remove_named_query);
    } else if (c->query[0]) {
        remove_query(L, c);
    }
}

/* The POST has been answered, or the deadline has passed. */
static int call_on_query(lua_State *L, call *c)
{
    timer_clear(&c->op);
    if (op_request_is_running(&c->op)) {
        c->op.ready = false;
        call_stop_query(L, &c->op, false);
        return fail_late(L, c);
    }
    c->op.keeps_request = false;
    if (c->op.transfer.fault == HTTP_OK && c->op.transfer.status / 100 == 2)
        orthanc_answer_id(c->op.transfer.body, c->query);
    return c->after(L, c);
}

/* The deadline is a timer and not the time limit of the request: that would abort the request, and the
 * identifier of the query would stay unknown. */
int call_post_query(lua_State *L, call *c, call_step next, const char *path)
{
    double deadline = c->deadline;
    int result;
    c->deadline = 0;
    result = call_post(L, c, call_on_query, CALL_REMOTE, "%s", path);
    c->deadline = deadline;
    if (result != OP_WAIT)
        return result;
    c->after = next;
    c->op.on_stop = call_stop_query;
    c->op.keeps_request = true;
    if (deadline > 0 && !timer_set(&c->op, deadline)) {
        error_new(L, "limit", "memory", "not enough memory for a timer");
        op_throw(L, &c->op);
    }
    return OP_WAIT;
}

double call_poll_delay(double begun, double deadline, double least, double most)
{
    double now = clock_now(), delay = (now - begun) / POLL_SHARE;
    if (deadline > 0 && now >= deadline)
        return 0;
    if (delay < least)
        delay = least;
    if (delay > most)
        delay = most;
    return deadline > 0 && now + delay > deadline ? deadline - now : delay;
}

/* ---- outcomes ---- */

static int fail_late(lua_State *L, const call *c)
{
    call_fail(L, c, "timeout", NULL,
              "%s: wait_timeout has passed before the server answered, and the server may go on",
              http_server_url(c->client->server));
    lua_pushboolean(L, !c->op.transfer.request.side_effects);
    lua_setfield(L, -2, "retryable");
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, "still_running");
    return 2;
}

int call_answer(lua_State *L, call *c)
{
    return call_answer_of(L, c, SHAPE_ANY);
}

int call_answer_of(lua_State *L, call *c, shape s)
{
    int results = response_push_shape(L, &c->op, s);
    if (results == 2 && c->deadline > 0 && c->op.transfer.curl_code == CURLE_OPERATION_TIMEDOUT &&
        clock_now() >= c->deadline - TIMEOUT_EARLY) {
        lua_pop(L, 2);
        return fail_late(L, c);
    }
    return results;
}

bool call_push_member(lua_State *L, const call *c, int answer, const char *name, shape s)
{
    int top = lua_gettop(L);
    if (!shape_member_differs(L, answer, name, s)) {
        lua_getfield(L, answer, name);
        return true;
    }
    response_fail_shape(L, &c->op, lua_tostring(L, top + 1));
    lua_remove(L, top + 1);
    return false;
}

bool call_is_transient(lua_State *L, const client *c, double heard)
{
    bool retryable;
    lua_getfield(L, -1, "retryable");
    retryable = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return retryable && (c->timeout == 0 || clock_now() - heard < c->timeout);
}

void call_set_error_fields(lua_State *L, const call *c)
{
    error_set(L, "op", c->op.name);
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
    call_set_error_fields(L, c);
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
}
