/* operations.c - tests the loop of operations with internal functions: it defines operations and
 * gives them to scripts as functions. The argument is the URL of the fault server. */
#define _POSIX_C_SOURCE 200809L

#include <lauxlib.h>
#include <lua.h>
#include <string.h>
#include <time.h>

#include "check.h"
#include "base/clock.h"
#include "binding/doc.h"
#include "engine/cleanup.h"
#include "engine/op.h"
#include "embed/runtime.h"

/* ---- poll(n): waits n times for a timer that is due, and every 1,000th time for a request ---- */

typedef struct poll_op {
    op base;
    lua_Integer left;
    http_server *server;
    http_request request;
    const char *lowest; /* the range of stack addresses of the calls of poll_advance */
    const char *highest;
} poll_op;

static int poll_advance(lua_State *L, op *o)
{
    poll_op *p = (poll_op *)o;
    char here;
    const char *at = &here;
    if (!p->lowest || at < p->lowest)
        p->lowest = at;
    if (!p->highest || at > p->highest)
        p->highest = at;
    if (p->left-- > 0)
        return p->left % 1000 == 0 ? op_request(L, o, p->server, &p->request) : op_sleep(L, o, 0);
    lua_pushinteger(L, p->highest - p->lowest);
    return 1;
}

static http_server *make_server(lua_State *L, loop *lp, const char *url)
{
    char why[100];
    http_options o = { .url = url, .connect_timeout = 10, .max_inflight = 8 };
    http_server *s = http_server_new(&lp->http, &o, why, sizeof why);
    if (!s)
        luaL_error(L, "%s", why);
    return s;
}

static http_server *server; /* freed before the runtime */

static int l_poll(lua_State *L)
{
    loop *lp = doc_loop(L);
    lua_Integer n = luaL_checkinteger(L, 1);
    poll_op *p = (poll_op *)op_new(L, lp, sizeof *p, 0, poll_advance, "poll");
    p->left = n;
    p->server = server;
    p->request = (http_request){ .method = "GET", .path = "/ok" };
    return op_run(L, &p->base);
}

/* ---- cleanup(path) ---- */

static int never(lua_State *L, op *o)
{
    (void)L;
    (void)o;
    return 0;
}

static int l_cleanup(lua_State *L)
{
    static const char *const paths[] = { "/cleanup-ok", "/hang", NULL };
    const char *path = paths[luaL_checkoption(L, 1, NULL, paths)];
    http_request r = { .method = "DELETE", .path = path, .side_effects = true };
    op *o = op_new(L, doc_loop(L), sizeof *o, 0, never, "cleanup");
    cleanup_start(L, o, server, &r);
    return 0;
}

/* ---- transfer(): takes a minute, and has an on_stop function ---- */

static int stops, detached_stops; /* how many were stopped, and how many of these were detached */

static void count_stop(lua_State *L, op *o, bool detached)
{
    (void)L;
    (void)o;
    stops++;
    detached_stops += detached;
}

static int transfer_advance(lua_State *L, op *o)
{
    return o->stage++ > 0 ? 0 : op_sleep(L, o, 60);
}

static int l_transfer(lua_State *L)
{
    op *o = op_new(L, doc_loop(L), sizeof *o, 0, transfer_advance, "transfer");
    o->on_stop = count_stop;
    o->is_transfer = true;
    return op_run(L, o);
}

/* poll(n) returns the difference in bytes of C stack between the calls of poll_advance. */
static const doc_row rows[] = { { .name = "poll", .function = l_poll },
                                { .name = "cleanup", .function = l_cleanup },
                                { .name = "transfer", .function = l_transfer },
                                { .name = NULL } };

/* ---- the tests ---- */

static int run(modalua_runtime *rt, const char *code)
{
    int status = modalua_run_string(rt, "=test", code, strlen(code));
    if (status < 0 && status != MODALUA_E_CANCELLED)
        fprintf(stderr, "%s\n", modalua_last_error(rt));
    return status;
}

static void test_polls(modalua_runtime *rt)
{
    /* the operation waits in place inside a callback of C; in a task and in a coroutine it yields */
    CHECK(run(rt, "local apart string.gsub('x', 'x', function() apart = test.poll(100000) end) "
                  "assert(apart == 0, apart)") == MODALUA_OK);
    CHECK(run(rt, "assert(coroutine.wrap(function() return test.poll(10000) end)() < 4096)") ==
          MODALUA_OK);
    CHECK(run(rt, "assert(test.poll(100000) < 4096)") == MODALUA_OK);
}

/* A cleanup request is sent even if the run has ended or was cancelled. A run waits at
 * most a second for one that is not answered, and leaves it to the next run, which does not wait. */
static void test_cleanups(modalua_runtime *rt, const char *url)
{
    char code[500];
    double before;
    CHECK(run(rt, "test.cleanup '/cleanup-ok'") == MODALUA_OK);
    CHECK(run(rt, "local t <close> = setmetatable({}, {__close = function() test.cleanup "
                  "'/cleanup-ok' end})\n"
                  "local task = require 'modalua.task'\n"
                  "task.spawn(error, 'x', 0) task.sleep(0) error('y', 0)") == MODALUA_E_SCRIPT);
    snprintf(code, sizeof code,
             "local n = assert(require 'modalua'.connect '%s':get('/count', {of = "
             "'/cleanup-ok'})) assert(n == 2, n)",
             url);
    CHECK(run(rt, code) == MODALUA_OK);
    CHECK(run(rt, "local t <close> = setmetatable({}, {__close = function() test.cleanup "
                  "'/cleanup-ok' end}) os.exit(0)") == MODALUA_EXIT);
    snprintf(code, sizeof code,
             "assert(require 'modalua'.connect '%s':get('/count', {of = '/cleanup-ok'}) == 3)",
             url);
    CHECK(run(rt, code) == MODALUA_OK);
    before = clock_now();
    CHECK(run(rt, "test.cleanup '/hang'") == MODALUA_OK);
    CHECK(clock_now() - before >= 0.9 && clock_now() - before < 30);
    CHECK(rt->lp.cleanups && rt->lp.cleanups->cleanup.left && rt->lp.http.running == 1);
    CHECK(run(rt, "local x = 1") == MODALUA_OK);
    CHECK(!cleanup_collect(rt->L, &rt->lp) && rt->lp.cleanups);
    cleanup_abort(rt->L, &rt->lp);
    CHECK(rt->lp.http.running == 0 && rt->lp.http.waiting == 0 && !rt->lp.cleanups);
}

/* Starts a run with two transfers, and returns when both are running. */
static void start_transfers(modalua_runtime *rt)
{
    static const char code[] = "require 'modalua.task'.spawn(test.transfer) test.transfer()";
    CHECK(modalua_start_string(rt, "=test", code, strlen(code), NULL, NULL) == MODALUA_OK);
    while (modalua_transfers(rt) < 2)
        CHECK(modalua_step(rt, 0) == MODALUA_WORKING);
}

/* The oldest operation is named; a task that waits for another one is not counted. */
static void test_waiting(modalua_runtime *rt)
{
    static const char code[] = "local t = require 'modalua.task'.spawn(test.transfer) "
                               "require 'modalua.task'.spawn(function() t:join() end) "
                               "require 'modalua.task'.sleep(60)";
    const char *name = "";
    CHECK(modalua_waiting(NULL, NULL) == 0);
    CHECK(modalua_waiting(rt, &name) == 0 && !name);
    CHECK(modalua_start_string(rt, "=test", code, strlen(code), NULL, NULL) == MODALUA_OK);
    while (modalua_waiting(rt, &name) < 2)
        CHECK(modalua_step(rt, 0) == MODALUA_WORKING);
    CHECK(strcmp(name, "sleep") == 0);
    for (int i = 0; i < 10; i++)
        CHECK(modalua_step(rt, 0) == MODALUA_WORKING && modalua_waiting(rt, NULL) == 2);
    modalua_cancel(rt);
    while (modalua_step(rt, -1) == MODALUA_WORKING)
        ;
    CHECK(modalua_waiting(rt, &name) == 0 && !name);
    stops = 0;
}

static int run_on(modalua_runtime *rt)
{
    int status;
    while ((status = modalua_step(rt, -1)) == MODALUA_WORKING)
        ;
    return status;
}

static void test_detach(modalua_runtime *rt)
{
    CHECK(modalua_transfers(NULL) == 0 && modalua_transfers(rt) == 0);
    modalua_detach(NULL);
    modalua_detach(rt); /* without a run: no effect on the next one */
    start_transfers(rt);
    modalua_detach(rt);
    CHECK(run_on(rt) == MODALUA_E_CANCELLED && stops == 2 && detached_stops == 2);
    start_transfers(rt);
    modalua_cancel(rt);
    CHECK(run_on(rt) == MODALUA_E_CANCELLED && stops == 4 && detached_stops == 2);
    CHECK(modalua_transfers(rt) == 0);
}

int main(int argc, char **argv)
{
    modalua_runtime *rt;
    lua_State *L;
    CHECK(argc == 2);
    CHECK(modalua_create(&rt, NULL) == MODALUA_OK);
    L = rt->L;
    server = make_server(L, &rt->lp, argv[1]);
    lua_newtable(L);
    doc_register(L, &rt->lp, rows);
    lua_setglobal(L, "test");
    test_polls(rt);
    test_cleanups(rt, argv[1]);
    test_detach(rt);
    test_waiting(rt);
    CHECK(rt->lp.live == 0 && rt->lp.timers.count == 0);
    http_server_free(server);
    modalua_destroy(rt);
    return 0;
}
