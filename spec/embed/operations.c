/* operations.c - the operation's loop from inside: operations of our own, put into a runtime as
 * functions. Its argument is the fault server's URL. */
#define _POSIX_C_SOURCE 200809L

#include <lauxlib.h>
#include <lua.h>
#include <string.h>
#include <time.h>

#include "check.h"
#include "clock.h"
#include "ldoc.h"
#include "op.h"
#include "runtime.h"

/* ---- poll(n, url): n polls of a timer that is due, and a request each 1,000th ---- */

typedef struct poll_op {
    op base;
    lua_Integer left;
    http_server *server;
    http_request request;
    const char *lowest; /* stack pointers seen by the advances */
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

static http_server *server; /* the tests' own, freed before the runtime */

static int l_poll(lua_State *L)
{
    loop *lp = ldoc_loop(L);
    lua_Integer n = luaL_checkinteger(L, 1);
    poll_op *p = (poll_op *)op_new(L, lp, sizeof *p, 0, poll_advance, "poll");
    p->left = n;
    p->server = server;
    p->request = (http_request){ .method = "GET", .path = "/ok" };
    return op_run(L, &p->base);
}

/* ---- farewell(path) ---- */

static int never(lua_State *L, op *o)
{
    (void)L;
    (void)o;
    return 0;
}

static int l_farewell(lua_State *L)
{
    static const char *const paths[] = { "/farewell-ok", "/hang", NULL };
    const char *path = paths[luaL_checkoption(L, 1, NULL, paths)];
    http_request r = { .method = "DELETE", .path = path, .side_effects = true };
    op *o = op_new(L, ldoc_loop(L), sizeof *o, 0, never, "farewell");
    op_farewell(L, o, server, &r);
    return 0;
}

/* ---- transfer(): a minute, with work on the server that a cancel would end ---- */

static int stops, detached_stops; /* how often it was stopped, and how often detached */

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
    op *o = op_new(L, ldoc_loop(L), sizeof *o, 0, transfer_advance, "transfer");
    o->stopped = count_stop;
    return op_run(L, o);
}

static const ldoc_row rows[] = { { "poll", l_poll,
                                   "poll(n) -> bytes of C stack that the advances were apart", "" },
                                 { "farewell", l_farewell, "farewell(path)", "" },
                                 { "transfer", l_transfer, "transfer()", "" },
                                 { NULL, NULL, NULL, NULL } };

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
    /* in place: inside a callback of C and in a coroutine; then parked, as a task does it */
    CHECK(run(rt, "local apart string.gsub('x', 'x', function() apart = test.poll(100000) end) "
                  "assert(apart == 0, apart)") == MODALUA_OK);
    CHECK(run(rt, "assert(coroutine.wrap(function() return test.poll(10000) end)() == 0)") ==
          MODALUA_OK);
    CHECK(run(rt, "assert(test.poll(100000) < 4096)") == MODALUA_OK);
}

/* A farewell is sent although the run has ended, even when it was cancelled; one that hangs gets a
 * second, no more. */
static void test_farewells(modalua_runtime *rt, const char *url)
{
    char code[500];
    double before;
    CHECK(run(rt, "test.farewell '/farewell-ok'") == MODALUA_OK);
    CHECK(run(rt, "local t <close> = setmetatable({}, {__close = function() test.farewell "
                  "'/farewell-ok' end})\n"
                  "local task = require 'modalua.task'\n"
                  "task.spawn(error, 'x', 0) task.sleep(0) error('y', 0)") == MODALUA_E_SCRIPT);
    snprintf(code, sizeof code,
             "local n = assert(require 'modalua'.connect '%s':get('/count', {of = "
             "'/farewell-ok'})) assert(n == 2, n)",
             url);
    CHECK(run(rt, code) == MODALUA_OK);
    CHECK(run(rt, "local t <close> = setmetatable({}, {__close = function() test.farewell "
                  "'/farewell-ok' end}) os.exit(0)") == MODALUA_EXIT);
    snprintf(code, sizeof code,
             "assert(require 'modalua'.connect '%s':get('/count', {of = '/farewell-ok'}) == 3)",
             url);
    CHECK(run(rt, code) == MODALUA_OK);
    before = clock_now();
    CHECK(run(rt, "test.farewell '/hang'") == MODALUA_OK);
    CHECK(clock_now() - before >= 0.9 && clock_now() - before < 30);
    CHECK(rt->lp.http.running == 0 && rt->lp.http.waiting == 0 && !rt->lp.farewells);
}

/* Starts a run with two transfers, and returns when both are under way. */
static void start_transfers(modalua_runtime *rt)
{
    static const char code[] = "require 'modalua.task'.spawn(test.transfer) test.transfer()";
    CHECK(modalua_start_string(rt, "=test", code, strlen(code), NULL, NULL) == MODALUA_OK);
    while (modalua_transfers(rt) < 2)
        CHECK(modalua_step(rt, 0) == MODALUA_WORKING);
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
    ldoc_register(L, &rt->lp, rows);
    lua_setglobal(L, "test");
    test_polls(rt);
    test_farewells(rt, argv[1]);
    test_detach(rt);
    CHECK(rt->lp.live == 0 && rt->lp.timer_count == 0);
    http_server_free(server);
    modalua_destroy(rt);
    return 0;
}
