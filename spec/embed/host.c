/* host.c - tests what a host gives to its scripts: functions, globals and modules. */
#include <stdbool.h>

#include "runs.h"

/* ---- a function with a given answer ---- */

typedef enum kind { NOTHING, JSON, TEXT, ERROR } kind;

typedef struct answer {
    kind kind;
    const char *text;
    size_t size;
    const char *code;
    int calls;
    char arguments[256]; /* of the last call */
} answer;

static void respond(void *user, const char *arguments, modalua_reply *reply)
{
    answer *a = user;
    int status = MODALUA_OK;
    a->calls++;
    CHECK(strlen(arguments) < sizeof a->arguments);
    strcpy(a->arguments, arguments);
    switch (a->kind) {
    case NOTHING: break;
    case JSON: status = modalua_reply_json(reply, a->text); break;
    case TEXT: status = modalua_reply_text(reply, a->text, a->size); break;
    case ERROR: status = modalua_reply_error(reply, a->code, a->text); break;
    }
    CHECK(status == MODALUA_OK);
}

static void number(void *user, const char *arguments, modalua_reply *reply)
{
    (void)arguments;
    CHECK(modalua_reply_json(reply, user) == MODALUA_OK);
}

/* Registers a function that returns this value. */
static void add_constant(modalua_runtime *rt, const char *name, const char *json)
{
    CHECK(modalua_register(rt, name, number, (void *)json) == MODALUA_OK);
}

/* ---- names ---- */

static void test_names(void)
{
    static const char *const wrong[] = {
        "",    ".",    "a.", ".a",  "a..b", "1a",   "a b", "a-b",
        "a.1", "a[1]", " a", "a\n", "a,b",  "a. b", "é",   "a.b.c."
    };
    static const char *const right[] = { "a", "_", "a1._b.C_2", "viewer.ui.close" };
    modalua_runtime *rt = make(NULL);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const char *json;
        CHECK(modalua_register(rt, wrong[i], number, NULL) == MODALUA_E_INVALID);
        CHECK(modalua_set_global(rt, wrong[i], "1") == MODALUA_E_INVALID);
        CHECK(modalua_get_global(rt, wrong[i], &json) == MODALUA_E_INVALID);
    }
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        char code[100];
        add_constant(rt, right[i], "7");
        snprintf(code, sizeof code, "assert(%s() == 7)", right[i]);
        pass(rt, code);
    }
    CHECK(modalua_register(NULL, "a", number, NULL) == MODALUA_E_INVALID);
    CHECK(modalua_register(rt, NULL, number, NULL) == MODALUA_E_INVALID);
    modalua_destroy(rt);
}

static void test_replacing(void)
{
    modalua_runtime *rt = make(NULL);
    add_constant(rt, "lib.f", "1");
    pass(rt, "old, other = lib.f, lib");
    add_constant(rt, "lib.f", "2");
    add_constant(rt, "lib.g", "3");
    pass(rt, "assert(old() == 1 and lib.f() == 2 and lib.g() == 3 and lib == other)");
    CHECK(modalua_register(rt, "lib.f", NULL, NULL) == MODALUA_OK);
    pass(rt, "assert(lib.f == nil and lib.g() == 3 and old() == 1)");
    CHECK(modalua_register(rt, "nosuch.table.f", NULL, NULL) == MODALUA_OK);
    pass(rt, "assert(nosuch == nil) number, text = 1, 'text'");
    CHECK(modalua_register(rt, "number.f", number, "1") == MODALUA_E_INVALID);
    CHECK(strstr(modalua_last_error(rt), "number.f"));
    CHECK(modalua_register(rt, "text.upper", number, "1") == MODALUA_E_INVALID);
    CHECK(modalua_register(rt, "number.f.g", NULL, NULL) == MODALUA_E_INVALID);
    pass(rt, "assert(number == 1 and text:upper() == 'TEXT')");
    modalua_destroy(rt);
}

/* ---- arguments ---- */

static void test_arguments(void)
{
    static const char *const cases[][2] = {
        { "f()", "[]" },
        { "f(nil)", "[null]" },
        { "f(nil, nil)", "[null,null]" },
        { "f(1, nil, 'x')", "[1,null,\"x\"]" },
        { "f(1, nil)", "[1,null]" },
        { "f(true, 1.5, 9007199254740993)", "[true,1.5,9007199254740993]" },
        { "f('a\\0b\\n', 'é')", "[\"a\\u0000b\\n\",\"é\"]" },
        { "f({}, json.array(), json.null)", "[{},[],null]" },
        { "f({a = {1, 2}})", "[{\"a\":[1,2]}]" },
        { "f(table.unpack({}, 1, 20))", "[null,null,null,null,null,null,null,null,null,null,null,"
                                        "null,null,null,null,null,null,null,null,null]" },
    };
    answer a = { .kind = NOTHING };
    modalua_runtime *rt = make(NULL);
    CHECK(modalua_register(rt, "f", respond, &a) == MODALUA_OK);
    pass(rt, "json = require 'modalua.json'");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pass(rt, cases[i][0]);
        CHECK(strcmp(a.arguments, cases[i][1]) == 0);
    }
    /* Data that JSON cannot hold gives nil and an error; a mistake of the program is thrown. */
    a.calls = 0;
    pass(rt, "for _, v in ipairs {0/0, math.huge, {'\\xff'}, {{'\\xff'}}} do\n"
             "  local none, err = f(v)\n"
             "  assert(none == nil and err.kind == 'refused' and err.op == 'f', tostring(err))\n"
             "end\n"
             "local cycle = {} cycle[1] = cycle\n"
             "for _, v in ipairs {print, coroutine.create(print), cycle, {[1.5] = 1}} do\n"
             "  local good, err = pcall(f, v)\n"
             "  assert(not good and tostring(err):find 'cannot encode', tostring(err))\n"
             "end");
    CHECK(a.calls == 0);
    modalua_destroy(rt);
}

/* ---- results ---- */

static void test_results(void)
{
    static const struct {
        answer answer;
        const char *check;
    } cases[] = {
        { { .kind = NOTHING }, "select('#', f()) == 0" },
        { { .kind = JSON, .text = "null" }, "select('#', f()) == 1 and f() == nil" },
        { { .kind = JSON, .text = " false " }, "select('#', f()) == 1 and f() == false" },
        { { .kind = JSON, .text = "9223372036854775807" }, "f() == math.maxinteger" },
        { { .kind = JSON, .text = "\"\\u0000\"" }, "f() == '\\0'" },
        { { .kind = JSON, .text = "[]" }, "json.encode(f()) == '[]'" },
        { { .kind = JSON, .text = "{\"a\":[1,null]}" },
          "f().a[1] == 1 and f().a[2] == json.null and f() ~= f()" },
        { { .kind = TEXT, .text = "a\0\xff", .size = 3 }, "f() == 'a\\0\\xff'" },
        { { .kind = TEXT, .text = NULL, .size = 0 }, "f() == '' and select('#', f()) == 1" },
        { { .kind = TEXT, .text = "{}", .size = 2 }, "f() == '{}'" },
        { { .kind = ERROR, .text = "no\n%s \xff", .code = "gone" },
          "select('#', f()) == 2 and f() == nil and is(f(), 'gone', 'no\\n%s \\xff')" },
        { { .kind = ERROR, .text = "" }, "is(f(), nil, '')" },
    };
    modalua_runtime *rt = make(NULL);
    pass(rt, "json = require 'modalua.json'\n"
             "function is(_, code, message)\n"
             "  local none, err = f()\n"
             "  return none == nil and require 'modalua'.is_error(err) and err.kind == 'host'\n"
             "    and err.code == code and err.message == message and err.op == 'f'\n"
             "    and err.where == 'test:3'\n"
             "end");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char code[200];
        answer a = cases[i].answer;
        CHECK(modalua_register(rt, "f", respond, &a) == MODALUA_OK);
        snprintf(code, sizeof code, "assert(%s)", cases[i].check);
        pass(rt, code);
    }
    modalua_destroy(rt);
}

/* Tries invalid answers, each of which must be rejected, then gives a valid one. */
static void respond_badly(void *user, const char *arguments, modalua_reply *reply)
{
    static const char *const bad[] = { "",
                                       " ",
                                       "{",
                                       "1 2",
                                       "[1,]",
                                       "nan",
                                       "'a'",
                                       "\"\xff\"",
                                       "[1}",
                                       "\"\\ud800",
                                       "{\"a\":}",
                                       "{1:2}",
                                       "nul",
                                       "01",
                                       "+1",
                                       "\xEF\xBB\xBF"
                                       "1",
                                       "\"\n\"",
                                       NULL };
    char deep[1002];
    (void)arguments;
    ++*(int *)user;
    for (size_t i = 0; bad[i]; i++)
        CHECK(modalua_reply_json(reply, bad[i]) == MODALUA_E_INVALID);
    memset(deep, '[', 500);
    memset(deep + 500, ']', 500);
    deep[1000] = '\0';
    CHECK(modalua_reply_json(reply, deep) == MODALUA_E_INVALID);
    CHECK(modalua_reply_json(reply, NULL) == MODALUA_E_INVALID);
    CHECK(modalua_reply_text(reply, NULL, 1) == MODALUA_E_INVALID);
    CHECK(modalua_reply_error(reply, "code", NULL) == MODALUA_E_INVALID);
    CHECK(modalua_reply_json(NULL, "1") == MODALUA_E_INVALID);
    CHECK(modalua_reply_text(NULL, "", 0) == MODALUA_E_INVALID);
    CHECK(modalua_reply_error(NULL, NULL, "") == MODALUA_E_INVALID);
    CHECK(modalua_reply_keep(NULL) == MODALUA_E_INVALID);
    CHECK(modalua_reply_json(reply, "1") == MODALUA_OK);
    CHECK(modalua_reply_json(reply, "2") == MODALUA_E_INVALID);
    CHECK(modalua_reply_text(reply, "2", 1) == MODALUA_E_INVALID);
    CHECK(modalua_reply_error(reply, NULL, "2") == MODALUA_E_INVALID);
    CHECK(modalua_reply_keep(reply) == MODALUA_E_INVALID);
}

static void test_one_answer(void)
{
    int calls = 0;
    modalua_runtime *rt = make(NULL);
    CHECK(modalua_register(rt, "f", respond_badly, &calls) == MODALUA_OK);
    pass(rt, "assert(f() == 1 and f() == 1)");
    CHECK(calls == 2);
    modalua_destroy(rt);
}

/* ---- where a script may call a host function ---- */

static void test_places(void)
{
    answer a = { .kind = JSON, .text = "\"7\"" };
    modalua_runtime *rt = make(NULL);
    CHECK(modalua_register(rt, "f", respond, &a) == MODALUA_OK);
    pass(rt, "local task = require 'modalua.task'\n"
             "local a, b = task.spawn(f, 'a'), task.spawn(function() return pcall(f, 'b') end)\n"
             "assert(a:join() == '7' and select(2, b:join()) == '7')\n"
             "assert(('xyz'):gsub('.', f) == '777')\n"
             "local list = {3, 1, 2}\n"
             "table.sort(list, function(x, y) assert(f(x, y) == '7') return x < y end)\n"
             "assert(table.concat(list) == '123')\n"
             "local own = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(f(i) .. i) end "
             "end)\n"
             "assert(own() .. own() .. own() == '717273')\n"
             "assert(coroutine.wrap(f)() == '7' and select(2, pcall(pcall, f)) == true)\n"
             "assert(setmetatable({}, {__index = f}).x == '7')\n"
             "do local c <close> = setmetatable({}, {__close = function() closed = f() end}) end\n"
             "local read = load(function() if not done then done = true return 'return ' .. f() "
             "end end)\n"
             "assert(closed == '7' and read() == 7)");
    /* A task is not needed: the text of an error is made after the run, outside any task. */
    CHECK(run(rt, "error(setmetatable({}, {__tostring = function() return 'is ' .. f() end}))") ==
          MODALUA_E_SCRIPT);
    CHECK(strncmp(modalua_last_error(rt), "is 7\n", 5) == 0);
    modalua_destroy(rt);
}

static modalua_runtime *within;

static void reenter(void *user, const char *arguments, modalua_reply *reply)
{
    const char *json = "?";
    (void)arguments;
    ++*(int *)user;
    CHECK(modalua_step(within, 0) == MODALUA_E_BUSY && run(within, "") == MODALUA_E_BUSY);
    CHECK(start(within, "") == MODALUA_E_BUSY);
    CHECK(modalua_run_file(within, "/nosuch", 0, NULL) == MODALUA_E_BUSY);
    CHECK(modalua_call(within, "print", NULL, NULL) == MODALUA_E_BUSY);
    CHECK(modalua_set_arg(within, 0, NULL, 0) == MODALUA_E_BUSY);
    CHECK(modalua_register(within, "g", number, "1") == MODALUA_E_BUSY);
    CHECK(modalua_set_global(within, "g", "1") == MODALUA_E_BUSY);
    CHECK(modalua_get_global(within, "g", &json) == MODALUA_E_BUSY && !json);
    CHECK(strcmp(modalua_last_error(within), "") == 0);
    CHECK(strcmp(modalua_last_error_json(within), "{}") == 0);
    CHECK(modalua_overdue(within) < 0 && !modalua_result(within));
    modalua_destroy(within);
    CHECK(modalua_reply_json(reply, "true") == MODALUA_OK);
}

static void cancel_within(void *user, const char *arguments, modalua_reply *reply)
{
    (void)arguments;
    for (int i = 0; i < *(int *)user; i++)
        modalua_cancel(within);
    CHECK(modalua_reply_json(reply, "true") == MODALUA_OK);
}

static void test_reentry(void)
{
    modalua_config config = watched();
    int calls = 0, times = 1;
    config.grace_seconds = 0.05;
    within = make(&config);
    CHECK(modalua_register(within, "f", reenter, &calls) == MODALUA_OK);
    CHECK(modalua_register(within, "cancel", cancel_within, &times) == MODALUA_OK);
    pass(within, "assert(f() == true and g == nil)");
    CHECK(calls == 1);
    for (; times <= 2; times++)
        CHECK(run(within, "while true do pcall(cancel) end") == MODALUA_E_CANCELLED);
    pass(within, "assert(f())");
    modalua_destroy(within);
}

/* ---- globals ---- */

static bool is(modalua_runtime *rt, const char *name, const char *expected)
{
    const char *json = "?";
    CHECK(modalua_get_global(rt, name, &json) == MODALUA_OK);
    return expected && json ? strcmp(json, expected) == 0 : json == expected;
}

static void set(modalua_runtime *rt, const char *name, const char *json)
{
    CHECK(modalua_set_global(rt, name, json) == MODALUA_OK);
}

static void test_globals(void)
{
    const char *json = "?";
    modalua_runtime *rt = make(NULL);
    CHECK(is(rt, "x", NULL) && is(rt, "x.y.z", NULL));
    set(rt, "x", "{\"list\":[],\"n\":9223372036854775807}");
    CHECK(is(rt, "x", "{\"list\":[],\"n\":9223372036854775807}") && is(rt, "x.list", "[]"));
    set(rt, "x.deep.er", "\"\\u0000é\"");
    CHECK(is(rt, "x.deep.er", "\"\\u0000é\"") && is(rt, "x.deep", "{\"er\":\"\\u0000é\"}"));
    pass(rt, "assert(x.n == math.maxinteger and x.deep.er == '\\0é') x.n = false");
    CHECK(is(rt, "x.n", "false"));
    set(rt, "x.n", NULL);
    set(rt, "x.deep", NULL);
    set(rt, "x.deep.er", NULL); /* x.deep does not exist, and is not made */
    CHECK(is(rt, "x", "{\"list\":[]}"));
    set(rt, "x", "null");
    pass(rt, "assert(x == nil) x = 'text' f = print c = {} c.c = c");
    CHECK(modalua_set_global(rt, "x.y", "1") == MODALUA_E_INVALID);
    CHECK(strstr(modalua_last_error_json(rt), "\"kind\":\"invalid\""));
    CHECK(modalua_set_global(rt, "x.y", NULL) == MODALUA_E_INVALID);
    CHECK(modalua_get_global(rt, "x.upper", &json) == MODALUA_E_INVALID && !json);
    CHECK(strstr(modalua_last_error(rt), "'x.upper'"));
    CHECK(modalua_set_global(rt, "x", "[1") == MODALUA_E_SCRIPT && is(rt, "x", "\"text\""));
    CHECK(strstr(modalua_last_error(rt), "'x' is not JSON"));
    CHECK(modalua_get_global(rt, "f", &json) == MODALUA_E_SCRIPT && !json);
    CHECK(strstr(modalua_last_error(rt), "a function"));
    CHECK(modalua_get_global(rt, "c", &json) == MODALUA_E_SCRIPT && !json);
    pass(rt, "x = '\\xff'");
    CHECK(modalua_get_global(rt, "x", &json) == MODALUA_E_SCRIPT && !json);
    CHECK(modalua_set_global(NULL, "x", "1") == MODALUA_E_INVALID);
    CHECK(modalua_set_global(rt, NULL, "1") == MODALUA_E_INVALID);
    CHECK(modalua_get_global(NULL, "x", &json) == MODALUA_E_INVALID);
    CHECK(modalua_get_global(rt, "x", NULL) == MODALUA_E_INVALID);
    modalua_destroy(rt);
}

static void test_globals_between_steps(void)
{
    modalua_config config = watched();
    modalua_runtime *rt = make(&config);
    CHECK(start(rt, "local task = require 'modalua.task'\n"
                    "seen = 0 while not go do seen = seen + 1 task.sleep(0) end\n"
                    "assert(go.on and late() == 7) seen = 'end'") == MODALUA_OK);
    CHECK(is(rt, "seen", NULL));
    CHECK(modalua_step(rt, 0) == MODALUA_WORKING && modalua_step(rt, 0) == MODALUA_WORKING);
    CHECK(!is(rt, "seen", NULL));
    add_constant(rt, "late", "7");
    set(rt, "go.on", "true");
    CHECK(finish(rt) == MODALUA_OK && is(rt, "seen", "\"end\""));
    modalua_destroy(rt);
}

/* The host accesses globals without calling the metamethods of a script. */
static void test_globals_are_raw(void)
{
    modalua_runtime *rt = make(NULL);
    pass(rt, "local function no() error 'asked' end\n"
             "local meta = {__index = no, __newindex = no, __pairs = no, __len = no}\n"
             "t = setmetatable({n = 1}, meta) setmetatable(_G, meta)");
    set(rt, "t.m", "2");
    set(rt, "u.v", "3");
    add_constant(rt, "t.f", "4");
    CHECK(is(rt, "t.m", "2") && is(rt, "u", "{\"v\":3}") && is(rt, "nosuch", NULL));
    CHECK(is(rt, "t.nosuch.x", NULL));
    pass(rt, "assert(t.n == 1 and t.m == 2 and t.f() == 4 and u.v == 3)");
    set(rt, "t.f", NULL);
    CHECK(is(rt, "t", "{\"m\":2,\"n\":1}"));
    modalua_destroy(rt);
}

/* ---- integers beyond 64 bits ---- */

static const char *const too_large[] = { "9223372036854775808", "-9223372036854775809",
                                         "18446744073709551615",
                                         "[{\"id\":123456789012345678901234567890}]", NULL };

static void respond_too_large(void *user, const char *arguments, modalua_reply *reply)
{
    (void)user;
    (void)arguments;
    for (const char *const *json = too_large; *json; json++) {
        CHECK(modalua_reply_json(reply, *json) == MODALUA_E_INVALID);
        CHECK(modalua_reply_json_bytes(reply, *json, "", 0) == MODALUA_E_INVALID);
    }
    CHECK(modalua_reply_json(reply, "-9223372036854775808") == MODALUA_OK);
}

static void count_refusal(void *user, modalua_runtime *rt, unsigned long task, int status,
                          const char *json)
{
    (void)rt;
    (void)task;
    CHECK(status == MODALUA_E_SCRIPT && strstr(json, "does not fit into 64 bits"));
    ++*(int *)user;
}

/* They are refused wherever the host gives JSON, and do not lose digits. */
static void test_too_large(void)
{
    const char *json = "?";
    int refusals = 0, asked = 0;
    modalua_config config = watched();
    modalua_runtime *rt = make(&config);
    CHECK(modalua_register(rt, "f", respond_too_large, NULL) == MODALUA_OK);
    pass(rt, "assert(f() == math.mininteger) function called() error 'it was called' end x = 1");
    for (const char *const *text = too_large; *text; text++) {
        CHECK(modalua_set_global(rt, "x", *text) == MODALUA_E_SCRIPT && is(rt, "x", "1"));
        CHECK(strstr(modalua_last_error(rt), "does not fit into 64 bits"));
        CHECK(modalua_call(rt, "called", *text, &json) == MODALUA_E_SCRIPT && !json);
        CHECK(strstr(modalua_last_error(rt), "does not fit into 64 bits"));
        CHECK(start(rt, "") == MODALUA_OK);
        CHECK(modalua_spawn_call(rt, "called", *text, count_refusal, &refusals, NULL) ==
              MODALUA_OK);
        CHECK(modalua_post(rt, "called", *text, count_refusal, &refusals, NULL) == MODALUA_OK);
        CHECK(finish(rt) == MODALUA_OK);
        asked += 2;
    }
    CHECK(refusals == asked);
    modalua_destroy(rt);
}

/* ---- modules ---- */

typedef struct shelf {
    int asked;
    char last[64];
} shelf;

static void search(void *user, const char *name, modalua_reply *reply)
{
    static const char *const modules[][2] = {
        { "good", "local name, more = ... loaded = (loaded or 0) + 1\n"
                  "return {name = name, more = more, f = function(t) return t.x end}" },
        { "silent", "loaded = (loaded or 0) + 1" },
        { "no", "return false" },
        { "wrong", "return return" },
        { "throws", "tries = (tries or 0) + 1 error {tries = tries}" },
        { "bytecode", "\x1bLua" },
        { "deep.er", "return require 'good'.name .. ' below ' .. ..." },
    };
    shelf *s = user;
    s->asked++;
    CHECK(strlen(name) < sizeof s->last);
    strcpy(s->last, name);
    CHECK(modalua_reply_keep(reply) == MODALUA_E_INVALID);
    if (strcmp(name, "json") == 0)
        CHECK(modalua_reply_json(reply, "\"return 1\"") == MODALUA_OK);
    if (strcmp(name, "denied") == 0)
        CHECK(modalua_reply_error(reply, "code", "it is denied") == MODALUA_OK);
    for (size_t i = 0; i < sizeof modules / sizeof *modules; i++)
        if (strcmp(name, modules[i][0]) == 0)
            CHECK(modalua_reply_text(reply, modules[i][1], strlen(modules[i][1])) == MODALUA_OK);
}

static void test_search(unsigned flags)
{
    modalua_config config = watched();
    shelf s = { 0, "" };
    modalua_runtime *rt;
    const char *json;
    config.search = search;
    config.user = &s;
    config.flags = flags;
    rt = make(&config);
    pass(rt, "local m = require 'good' assert(m.name == 'good' and require 'good' == m)\n"
             "assert(require 'silent' == true and require 'silent' == true and loaded == 2)\n"
             "assert(require 'deep.er' == 'good below deep.er')\n"
             "assert(require 'modalua' == require 'modalua' and require 'modalua.json')");
    CHECK(s.asked == 3 && strcmp(s.last, "deep.er") == 0);
    CHECK(modalua_call(rt, "good.f", "{\"x\":5}", &json) == MODALUA_OK);
    CHECK(s.asked == 3 && strcmp(json, "5") == 0);
    pass(rt, "local function fails(name, text)\n"
             "  local good, err = pcall(require, name)\n"
             "  assert(not good and tostring(err):find(text, 1, true), tostring(err))\n"
             "end\n"
             "fails('nosuch', \"the host has no module 'nosuch'\")\n"
             "fails('json', \"the host has no module 'json'\")\n"
             "fails('denied', \"the host cannot give module 'denied': it is denied\")\n"
             "fails('wrong', \"module 'wrong' of the host does not compile: wrong:1:\")\n"
             "fails('bytecode', 'attempt to load a binary chunk')\n"
             "for i = 1, 2 do\n"
             "  local good, err = pcall(require, 'throws') assert(not good and err.tries == i)\n"
             "end\n"
             "assert(not require 'no' and not pcall(require))");
    modalua_destroy(rt);
}

/* Outside a sandbox, config.search is asked before the files of module_path. A module that the host
 * does not have is then looked up in the files. */
static void test_search_order(void)
{
    modalua_config config = watched();
    shelf s = { 0, "" };
    modalua_runtime *rt;
    config.search = search;
    config.user = &s;
    config.module_path = "/nosuch/?.lua";
    rt = make(&config);
    pass(rt, "package.preload.good = function() return 'preloaded' end\n"
             "package.searchpath = error assert(require 'good' == 'preloaded')\n"
             "local good, err = pcall(require, 'nosuch')\n"
             "local host, file = err:find \"the host has no module 'nosuch'\", err:find "
             "'/nosuch/nosuch.lua'\n"
             "assert(not good and host < file, err)\n"
             "table.insert(package.searchers, 3, function() return function() end end)\n"
             "assert(require 'elsewhere' and not pcall(require, 'denied'))");
    CHECK(s.asked == 3);
    modalua_destroy(rt);
}

int main(void)
{
    test_names();
    test_replacing();
    test_arguments();
    test_results();
    test_one_answer();
    test_places();
    test_reentry();
    test_globals();
    test_globals_between_steps();
    test_globals_are_raw();
    test_too_large();
    test_search(0);
    test_search(MODALUA_NO_HOOK);
    test_search(MODALUA_SANDBOX);
    test_search_order();
    return 0;
}
