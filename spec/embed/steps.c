/* steps.c - no step blocks: an operation that a script calls in a coroutine of its own, in an
 * iterator, in a metamethod or in a module that is being required suspends its task, and the host
 * answers from its own loop. Where that cannot be, inside a C function that cannot be suspended, the
 * operation throws; in modalua_run_... it works there too. */
#include <string.h>

#include "runs.h"

enum { KEPT_MAX = 8 };

static const char *url; /* of faultd */

/* The replies that the host has kept, and answers between two steps. */
static modalua_reply *kept[KEPT_MAX];
static size_t kept_count;

/* later(v) -> v, after the step has returned. */
static void later(void *user, const char *arguments, modalua_reply *reply)
{
    (void)user;
    (void)arguments;
    CHECK(kept_count < KEPT_MAX);
    CHECK(modalua_reply_keep(reply) == MODALUA_OK);
    kept[kept_count++] = reply;
}

static void at_once(void *user, const char *arguments, modalua_reply *reply)
{
    (void)user;
    (void)arguments;
    CHECK(modalua_reply_json(reply, "7") == MODALUA_OK);
}

static void search(void *user, const char *name, modalua_reply *reply)
{
    static const char *const modules[][2] = {
        { "waits", "loads = (loads or 0) + 1 return { value = later() }" },
        { "waits.in.a.coroutine", "return { value = coroutine.wrap(later)() }" },
        { "nests", "return { value = require 'waits'.value + 1 }" },
        { "fails", "loads = (loads or 0) + 1 later() error('no such day', 0)" },
        { "one", "later() return { other = require 'two' }" },
        { "two", "later() return { other = require 'one' }" },
        { "yields", "coroutine.yield() return { value = 7 }" },
        { "joins", "other:join() return { value = 7 }" },
        { "functions", "local v = later() return { f = function(x) return v + x end }" },
    };
    (void)user;
    for (size_t i = 0; i < sizeof modules / sizeof modules[0]; i++)
        if (strcmp(modules[i][0], name) == 0)
            CHECK(modalua_reply_text(reply, modules[i][1], strlen(modules[i][1])) == MODALUA_OK);
}

static void drop(void *user, const char *text, size_t size)
{
    (void)user;
    (void)text;
    (void)size;
}

static modalua_runtime *make_host(unsigned flags)
{
    modalua_config config = watched();
    modalua_runtime *rt;
    config.run_seconds =
        60; /* a step that waits for a reply from the loop of its host never ends */
    config.flags = flags;
    config.url = url;
    config.search = search;
    config.write = drop;
    rt = make(&config);
    CHECK(modalua_register(rt, "later", later, NULL) == MODALUA_OK);
    CHECK(modalua_register(rt, "at_once", at_once, NULL) == MODALUA_OK);
    return rt;
}

/* The loop of the host: it steps, and answers what it has kept. */
static int drive(modalua_runtime *rt)
{
    int status;
    do {
        status = modalua_step(rt, kept_count > 0 ? 0 : 1);
        for (size_t i = 0; i < kept_count; i++)
            CHECK(modalua_reply_json(kept[i], "7") == MODALUA_OK);
        kept_count = 0;
    } while (status == MODALUA_WORKING);
    return status;
}

/* ---- where an operation suspends its task ---- */

static const char *const suspending[] = {
    "local co = coroutine.create(function(a) local b = coroutine.yield(a + later()) return b, "
    "later() end)\n"
    "local ok, v = coroutine.resume(co, 1) assert(ok and v == 8)\n"
    "assert(coroutine.status(co) == 'suspended')\n"
    "local ok, b, c = coroutine.resume(co, 'b') assert(ok and b == 'b' and c == 7)\n"
    "assert(coroutine.status(co) == 'dead')\n",
    /* nested */
    "local function nest(n) if n == 0 then return later() end return coroutine.wrap(nest)(n - 1) "
    "end\n"
    "assert(nest(50) == 7)\n",
    /* an iterator */
    "local sum = 0\n"
    "for v in coroutine.wrap(function() for _ = 1, 3 do coroutine.yield(later()) end end) do sum = "
    "sum + v end\n"
    "assert(sum == 21)\n",
    "local n = 0\n"
    "for v in function() n = n + 1 return n < 4 and later() or nil end do assert(v == 7) end\n"
    "assert(n == 4)\n",
    /* inside pcall, xpcall, dofile's kin, assert */
    "assert(select(2, pcall(coroutine.wrap(function() return (select(2, pcall(later))) end))) == "
    "7)\n"
    "assert(select(2, xpcall(coroutine.wrap(later), error)) == 7)\n"
    "local ok, err = pcall(coroutine.wrap(function() later() error({ 1 }) end)) assert(not ok and "
    "err[1] == 1)\n"
    "assert(select(2, pcall(coroutine.resume, coroutine.create(later))) == true)\n",
    /* metamethods that Lua code calls */
    "local t = setmetatable({}, { __index = later, __add = later, __eq = later, __lt = later, __le "
    "= later,\n"
    "  __concat = later, __unm = later, __len = later, __call = later, __newindex = later,\n"
    "  __close = later, __bnot = later, __idiv = later })\n"
    "local function use(t)\n"
    "  assert(t.x == 7 and t + t == 7 and t < t and t <= t and t .. t == 7 and -t == 7 and #t == 7 "
    "and t() == 7)\n"
    "  assert(~t == 7 and t // 1 == 7)\n"
    "  t.y = 1\n"
    "  do local x <close> = t end\n"
    "end\n"
    "use(t) coroutine.wrap(use)(t)\n"
    "for _ in pairs(setmetatable({}, { __pairs = function(t) later() return next, {} end })) do "
    "end\n",
    /* <close> at the end of a coroutine, and after an error in it */
    "local closed = 0\n"
    "local function closing() return setmetatable({}, { __close = function() closed = closed + "
    "later() end }) end\n"
    "coroutine.wrap(function() local x <close> = closing() end)()\n"
    "pcall(coroutine.wrap(function() local x <close> = closing() error 'e' end))\n"
    "assert(closed == 14)\n",
    /* a coroutine looks as one that has resumed another one */
    "local task = require 'modalua.task'\n"
    "local co, main = coroutine.create(function()\n"
    "  local me, is_main = coroutine.running()\n"
    "  assert(not is_main and coroutine.isyieldable() and coroutine.status(me) == 'running')\n"
    "  later()\n"
    "  assert(coroutine.running() == me and coroutine.isyieldable() and coroutine.status(me) == "
    "'running')\n"
    "  return 'end'\n"
    "end)\n"
    "local other = task.spawn(function()\n"
    "  assert(coroutine.status(co) == 'normal')\n"
    "  local ok, message = coroutine.resume(co)\n"
    "  assert(not ok and message == 'cannot resume non-suspended coroutine')\n"
    "  local ok, message = pcall(coroutine.close, co)\n"
    "  assert(not ok and message:find 'cannot close a normal coroutine')\n"
    "  return 'seen'\n"
    "end)\n"
    "assert(select(2, coroutine.resume(co)) == 'end')\n"
    "assert(coroutine.status(co) == 'dead' and coroutine.close(co))\n"
    "assert(other:join() == 'seen')\n",
    /* a generator that two tasks use in turns */
    "local task = require 'modalua.task'\n"
    "local next_one = coroutine.wrap(function() for i = 1, 4 do later() coroutine.yield(i) end "
    "end)\n"
    "local a = task.spawn(function() local v = next_one() task.sleep(0) return v end)\n"
    "assert(a:join() == 1 and next_one() == 2)\n"
    "assert(task.spawn(next_one):join() == 3 and next_one() == 4)\n",
    /* coroutine.close after a wait */
    "local closed\n"
    "local co = coroutine.create(function()\n"
    "  local x <close> = setmetatable({}, { __close = function() closed = true end })\n"
    "  coroutine.yield(later())\n"
    "end)\n"
    "assert(select(2, coroutine.resume(co)) == 7 and coroutine.close(co) and closed)\n",
    /* tasks in coroutines, and their errors */
    "local task = require 'modalua.task'\n"
    "local value = coroutine.wrap(function() return task.spawn(later):join() end)() assert(value "
    "== 7)\n"
    "coroutine.wrap(function()\n"
    "  local results = task.map({ 1, 2, 3 }, later)\n"
    "  assert(results.n == 3 and results[3] == 7)\n"
    "  assert(task.timeout(50, coroutine.wrap(later)) == 7)\n"
    "end)()\n"
    "local t = task.spawn(coroutine.wrap(function() local ok, err = pcall(task.sleep, 50) later() "
    "error(err) end))\n"
    "task.sleep(0) t:cancel()\n"
    "local ok, err = t:join() assert(not ok and err.kind == 'cancelled')\n",
    /* the values and the traceback of an error behind a wait */
    "local co = coroutine.create(function() local function deep() later() error 'deep' end deep() "
    "end)\n"
    "local ok, message = coroutine.resume(co)\n"
    "assert(not ok and message:find 'deep$')\n"
    "assert(not debug or debug.traceback(co):find \"in upvalue 'deep'\" or "
    "debug.traceback(co):find \"in local 'deep'\")\n",
    /* a request */
    "coroutine.wrap(function() assert(require 'modalua'.connect():get '/ok') later() end)()\n",
    /* the callback of an operation, which goes on meanwhile */
    "if os.tmpname then\n"
    "  local client, file, seen = require 'modalua'.connect(), os.tmpname(), {}\n"
    "  local name = 'steps' .. tostring(seen):match '%x+$'\n"
    "  local function progress(p)\n"
    "    seen[#seen + 1] = p.state .. later()\n"
    "    if p.done == 2 then assert(client:get('/release?name=' .. name)) later() end\n"
    "  end\n"
    "  local size = client:download('/hold?send=2&body=abcde&name=' .. name, file, { progress = "
    "progress })\n"
    "  os.remove(file)\n"
    "  assert(size == 5 and seen[1] == 'Running7' and seen[#seen] == 'Success7')\n"
    "  local ok, err = pcall(client.download, client, '/ok', file, { progress = function() later() "
    "error('stop', 0) end })\n"
    "  os.remove(file)\n"
    "  assert(not ok and err == 'stop')\n"
    "end\n",
    /* modules */
    "assert(require 'nests'.value == 8 and require 'waits'.value == 7)\n"
    "assert(require 'waits.in.a.coroutine'.value == 7 and loads == 1)\n"
    "assert(coroutine.wrap(function() return require 'waits'.value end)() == 7)\n",
    "local task = require 'modalua.task'\n" /* two tasks load the same module: once */
    "local results = task.map({ 1, 2, 3 }, function() return require 'waits' end)\n"
    "assert(loads == 1 and results[1] == results[3] and results[2].value == 7)\n",
    "local task = require 'modalua.task'\n" /* the module fails, and each task learns that */
    "local results, errors = task.map({ 1, 2 }, function() return select(2, pcall(require, "
    "'fails')) end)\n"
    "assert(results[1] == 'no such day' and results[2] == 'no such day' and loads == 2)\n",
    "local task = require 'modalua.task'\n" /* modules that require one another */
    "local results = task.map({ 'one', 'two' }, function(name) return select(2, pcall(require, "
    "name)) end)\n"
    "assert(results[1]:find \"module 'o?n?e?t?w?o?' requires itself\" and results[2]:find "
    "'requires itself')\n"
    "local ok, err = pcall(require, 'one') assert(not ok and err:find \"module 'one' requires "
    "itself\")\n",
    "local task = require 'modalua.task'\n" /* a task ends, and leaves a module half loaded */
    "local function load() return require 'yields' end\n"
    "local left = coroutine.create(load)\n"
    "task.spawn(function() coroutine.resume(left) later() end)\n"
    "task.sleep(0)\n"
    "local again = coroutine.wrap(load)\n"
    "assert(again() == nil and again().value == 7)\n",
    "local task = require 'modalua.task'\n" /* tasks that wait for each other, and one beside them */
    "first = task.spawn(function() return require 'joins'.value end)\n"
    "other = task.spawn(function() return first:join() end)\n"
    "task.sleep(0)\n"
    "local third = task.spawn(function() return require 'joins'.value end)\n"
    "later() other:cancel() other:join()\n"
    "assert(first:join() == 7 and third:join() == 7)\n",
};

static void try_suspending(unsigned flags)
{
    for (size_t i = 0; i < sizeof suspending / sizeof suspending[0]; i++) {
        modalua_runtime *rt = make_host(flags);
        int status;
        CHECK(start(rt, suspending[i]) == MODALUA_OK);
        status = drive(rt);
        if (status != MODALUA_OK)
            fprintf(stderr, "%s\nin: %s\n", modalua_last_error(rt), suspending[i]);
        CHECK(status == MODALUA_OK);
        modalua_destroy(rt);
    }
}

/* A function of a module that waits while it is loaded. */
static void try_call(unsigned flags)
{
    modalua_runtime *rt = make_host(flags);
    CHECK(modalua_start_call(rt, "functions.f", "1", NULL, NULL) == MODALUA_OK);
    CHECK(drive(rt) == MODALUA_OK);
    CHECK(strcmp(modalua_result(rt), "8") == 0);
    modalua_destroy(rt);
}

/* ---- where it cannot ---- */

/* Scripts around a call f() that must wait. */
static const char *const refusing[] = {
    "string.gsub('x', 'x', f)",
    "table.sort({ 1, 2, 3 }, f)",
    "tostring(setmetatable({}, { __tostring = f }))",
    "print(setmetatable({}, { __tostring = f }))",
    "table.concat(setmetatable({}, { __len = function() return 1 end, __index = f }))",
    "assert(load(f))",
    "string.gsub('x', 'x', coroutine.wrap(f))",
    "coroutine.wrap(function() table.sort({ 1, 2 }, f) end)()",
    "for _ in ipairs(setmetatable({}, { __index = f })) do end",
    "local co = coroutine.create(function()\n"
    "  local x <close> = setmetatable({}, { __close = f }) coroutine.yield()\n"
    "end)\n"
    "coroutine.resume(co) assert(coroutine.close(co))",
    "error(setmetatable({}, { __tostring = f }))",
    "string.gsub('x', 'x', function() pcall(f) f() end)",
};

static const char *const waits[] = { "later()", "require 'modalua.task'.sleep(0.001)",
                                     "require 'modalua'.connect():get '/ok'" };

static void try_one_refusing(modalua_runtime *rt, const char *script, const char *wait)
{
    char code[1024];
    int status;
    const char *expected = "cannot wait here";
    snprintf(code, sizeof code, "local function f() %s return 'f' end\nf()\n%s", wait, script);
    CHECK(start(rt, code) == MODALUA_OK);
    status = drive(rt);
    if (status != MODALUA_E_SCRIPT || !strstr(modalua_last_error(rt), expected))
        fprintf(stderr, "%s\nin: %s\n", modalua_last_error(rt), code);
    CHECK(status == MODALUA_E_SCRIPT && strstr(modalua_last_error(rt), expected));
}

static void try_refusing(unsigned flags)
{
    modalua_runtime *rt = make_host(flags);
    for (size_t i = 0; i < sizeof refusing / sizeof refusing[0]; i++)
        for (size_t j = 0; j < sizeof waits / sizeof waits[0]; j++)
            try_one_refusing(rt, refusing[i], waits[j]);
    /* What need not wait works everywhere. */
    CHECK(start(rt, "assert(string.gsub('xx', 'x', at_once) == '77')") == MODALUA_OK);
    CHECK(drive(rt) == MODALUA_OK);
    modalua_destroy(rt);
}

/* A run that blocks until its end blocks there too. */
static void try_blocking(unsigned flags)
{
    modalua_runtime *rt = make_host(flags);
    pass(rt, "local task = require 'modalua.task'\n"
             "local function f() task.sleep(0.001) return 'f' end\n"
             "assert(string.gsub('x', 'x', f) == 'f')\n"
             "assert(string.gsub('x', 'x', coroutine.wrap(f)) == 'f')\n"
             "assert(tostring(setmetatable({}, { __tostring = f })) == 'f')\n"
             "assert(coroutine.wrap(f)() == 'f')\n"
             "local t = {3, 2, 1} table.sort(t, function(a, b) f() return a < b end) assert(t[1] "
             "== 1)\n");
    modalua_destroy(rt);
}

/* ---- a cancel reaches the operation in the innermost coroutine ---- */

static void try_cancel(unsigned flags)
{
    static const char code[] =
        "closed = 0\n"
        "local function nest(n)\n"
        "  local x <close> = setmetatable({}, { __close = function() closed = closed + 1 end })\n"
        "  if n == 0 then return later() end\n"
        "  return coroutine.wrap(nest)(n - 1)\n"
        "end\n"
        "nest(3)\n";
    for (int cancels = 1; cancels <= 2; cancels++) {
        modalua_runtime *rt = make_host(flags);
        const char *closed;
        int status;
        CHECK(start(rt, code) == MODALUA_OK);
        while (kept_count == 0)
            CHECK(modalua_step(rt, 0) == MODALUA_WORKING);
        for (int i = 0; i < cancels; i++)
            modalua_cancel(rt);
        while ((status = modalua_step(rt, 0)) == MODALUA_WORKING)
            ;
        CHECK(status == MODALUA_E_CANCELLED);
        CHECK(modalua_get_global(rt, "closed", &closed) == MODALUA_OK);
        CHECK(strcmp(closed, "4") == 0);
        CHECK(modalua_reply_json(kept[0], "7") == MODALUA_OK);
        kept_count = 0;
        modalua_destroy(rt);
    }
}

/* Destroyed while it waits there. */
static void try_destroy(unsigned flags)
{
    modalua_runtime *rt = make_host(flags);
    CHECK(start(rt, "coroutine.wrap(function() coroutine.wrap(later)() end)()") == MODALUA_OK);
    while (kept_count == 0)
        CHECK(modalua_step(rt, 0) == MODALUA_WORKING);
    modalua_destroy(rt);
    CHECK(modalua_reply_json(kept[0], "7") == MODALUA_OK);
    kept_count = 0;
}

int main(int argc, char **argv)
{
    static const unsigned flags[] = { 0, MODALUA_NO_HOOK, MODALUA_SANDBOX };
    CHECK(argc == 2);
    url = argv[1];
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        try_suspending(flags[i]);
        try_call(flags[i]);
        try_refusing(flags[i]);
        try_blocking(flags[i]);
        try_cancel(flags[i]);
        try_destroy(flags[i]);
    }
    return 0;
}
