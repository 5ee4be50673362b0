/* guest.c - a script is a guest in the process of its host. It cannot end the process. The library
 * writes nothing to standard output, standard error or files unless the host asks for it, and does
 * not change the host's locale. The argument is the URL of the fault server. */
#define _POSIX_C_SOURCE 200809L

#include <dirent.h>
#include <locale.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runs.h"

#define COUNT(list) (sizeof(list) / sizeof *(list))

/* ---- no script ends the process ---- */

enum { ANY = 100, HEAP = 8 << 20 };

#define TASK   "local task = require 'modalua.task' "
#define JSON   "local json = require 'modalua.json' "
#define CLOSER "local t <close> = setmetatable({}, { __close = function() "

/* Scripts, with the status of the run outside a sandbox. Inside a sandbox there is no os.exit. */
static const struct {
    const char *code;
    int status;
} endings[] = {
    { "os.exit()", MODALUA_EXIT },
    { "os.exit(true)", MODALUA_EXIT },
    { "os.exit(false)", MODALUA_EXIT },
    { "os.exit(3)", MODALUA_EXIT },
    { "os.exit(3, true)", MODALUA_EXIT },
    { "return os.exit(3)", MODALUA_EXIT },
    { "while os.exit do pcall(os.exit, 3) end", MODALUA_EXIT },
    { "xpcall(os.exit, print, 3)", MODALUA_EXIT },
    { "xpcall(error, function() os.exit(3) end)", MODALUA_EXIT },
    { "coroutine.wrap(os.exit)(3)", MODALUA_EXIT },
    { "coroutine.resume(coroutine.create(function() coroutine.wrap(os.exit)(3) end))",
      MODALUA_EXIT },
    { TASK "task.spawn(os.exit, 3):join()", MODALUA_EXIT },
    { TASK "task.spawn(function() task.sleep(0) os.exit(3) end) task.sleep(0.2)", MODALUA_EXIT },
    { TASK "task.map({ 1, 2 }, function() pcall(os.exit, 3) end)", MODALUA_EXIT },
    { CLOSER "os.exit(3) end })", MODALUA_EXIT },
    { CLOSER "os.exit(3) end }) error 'x'", MODALUA_EXIT },
    { CLOSER "error 'again' end }) os.exit(3)", MODALUA_EXIT },
    { CLOSER "os.exit(4) end }) os.exit(3)", MODALUA_EXIT },
    { "string.gsub('x', 'x', function() os.exit(3) end)", MODALUA_EXIT },
    { "table.sort({ 3, 2, 1 }, function() os.exit(3) end)", MODALUA_EXIT },
    { "load(function() os.exit(3) end)", MODALUA_EXIT },
    { JSON "json.encode(setmetatable({}, { __pairs = os.exit, __index = os.exit }))", ANY },
    { "error(setmetatable({}, { __tostring = function() os.exit(3) end }))", ANY },
    { "tostring(setmetatable({}, { __tostring = function() os.exit(3) end }))", MODALUA_EXIT },
    { "setmetatable({}, { __gc = function() os.exit(3) end }) collectgarbage()", ANY },
    { "setmetatable({}, { __gc = function() error 'x' end }) collectgarbage()", ANY },
    { "setmetatable({}, { __gc = function() os.exit(3) end })", ANY }, /* when the state closes */
    { "error()", MODALUA_E_SCRIPT },
    { "error(nil, 0)", MODALUA_E_SCRIPT },
    { "error(setmetatable({}, { __tostring = error }))", MODALUA_E_SCRIPT },
    { "xpcall(error, function() error 'in the handler' end) error 'x'", MODALUA_E_SCRIPT },
    { "xpcall(error, function(e) local function f() return 1 + f() end f() end) error 'x'",
      MODALUA_E_SCRIPT },
    { CLOSER "error 'a' end }) error 'b'", MODALUA_E_SCRIPT },
    { "local function f() return 1 + f() end f()", MODALUA_E_SCRIPT },
    { "local function f() coroutine.wrap(f)() end f()", MODALUA_E_SCRIPT },
    { "local function f() string.gsub('x', 'x', f) end f()", MODALUA_E_SCRIPT },
    { "local t = setmetatable({}, {}) getmetatable(t).__index = t return t.x", MODALUA_E_SCRIPT },
    { "assert(load(('('):rep(1000) .. '1' .. (')'):rep(1000)))", MODALUA_E_SCRIPT },
    { "return (('x'):rep(1 << 30))", MODALUA_E_NOMEM },
    { "local s = 'x' while true do s = s .. s end", MODALUA_E_NOMEM },
    { "local t = {} while true do t[#t + 1] = {} end", MODALUA_E_NOMEM },
    { "local t = {} while true do t[#t + 1] = coroutine.create(print) end", MODALUA_E_NOMEM },
    { "xpcall(string.rep, function() return ('y'):rep(1 << 30) end, 'x', 1 << 30) error 'x'", ANY },
    { CLOSER "return ('y'):rep(1 << 30) end }) return (('x'):rep(1 << 30))", MODALUA_E_NOMEM },
    { TASK "task.spawn(string.rep, 'x', 1 << 30):join() error 'x'", ANY },
    { TASK "local t = {} while true do t[#t + 1] = task.spawn(task.sleep, 60) end",
      MODALUA_E_NOMEM },
    { JSON "json.encode(('x'):rep(3 << 20):rep(2))", MODALUA_E_NOMEM },
    { JSON "json.encode { (('\\1'):rep(2 << 20)) }",
      MODALUA_E_NOMEM }, /* \u0001: six times as long */
    { JSON "json.decode('\"' .. ('x'):rep(5 << 20) .. '\"')", MODALUA_E_NOMEM },
    { JSON "json.decode('[' .. ('{},'):rep(1 << 20) .. '{}]')", ANY },
    { JSON "assert(json.decode(('['):rep(1 << 20)))", ANY },
    { JSON "local t = {} t[1] = t json.encode(t)", ANY },
    { "warn '@on' warn('x', 'y') error 'x'", MODALUA_E_SCRIPT },
};

static bool over; /* set by main when all tests are done */

static void at_exit(void)
{
    if (!over) {
        fputs("guest: exit was called before the end\n", stderr);
        _exit(1);
    }
}

static void test_ending(unsigned flags, size_t i)
{
    modalua_config config;
    modalua_runtime *rt;
    int status;
    modalua_config_init(&config);
    config.flags = flags;
    config.run_seconds = WATCHDOG;
    if (endings[i].status == MODALUA_E_NOMEM || endings[i].status == ANY)
        config.memory_limit = HEAP; /* the others need memory for a full stack */
    rt = make(&config);
    status = run(rt, endings[i].code);
    CHECK(status != MODALUA_E_LIMIT);
    if (endings[i].status != ANY && status != endings[i].status && !(flags & MODALUA_SANDBOX)) {
        fprintf(stderr, "%s\nended with status %d instead of %d: %s\n", endings[i].code, status,
                endings[i].status, modalua_last_error(rt));
        CHECK(!"the status is wrong");
    }
    status = run(rt, "assert(1 + 1 == 2) if collectgarbage then collectgarbage() end");
    CHECK(status == MODALUA_OK || (status == MODALUA_EXIT && strstr(endings[i].code, "__gc")));
    modalua_destroy(rt);
}

static void test_endings(void)
{
    static const unsigned flags[] = { 0, MODALUA_NO_HOOK, MODALUA_SANDBOX };
    for (size_t f = 0; f < COUNT(flags); f++)
        for (size_t i = 0; i < COUNT(endings); i++)
            test_ending(flags[f], i);
}

/* With too little memory, either the runtime cannot be made, or its scripts fail. */
static void test_little_memory(void)
{
    static const char code[] = "local json = require 'modalua.json'\n"
                               "require 'modalua'.connect('http://127.0.0.1:1'):system()\n"
                               "answer = json.encode(json.decode '[1, {\"a\": \"b\"}]')";
    bool enough = false;
    int made = 0;
    for (size_t limit = 1000; !enough; limit += 3000) {
        modalua_runtime *rt;
        modalua_config config;
        modalua_config_init(&config);
        config.memory_limit = limit;
        CHECK(limit < HEAP);
        if (modalua_create(&rt, &config) == MODALUA_E_NOMEM)
            continue;
        made++;
        enough = run(rt, code) == MODALUA_OK;
        CHECK(modalua_last_error(rt) && modalua_last_error_json(rt));
        modalua_destroy(rt);
    }
    CHECK(made > 1);
}

/* ---- the library writes nothing ---- */

/* Most of these scripts fail. This test does not check how. */
static const char *const noisy[] = {
    "print('x', 1, {})",
    "warn '@on' warn('one ', 'two')",
    "error 'boom'",
    "error({})",
    "x = = 1",
    "require 'nosuch'",
    "print(debug.traceback 'here')",
    "setmetatable({}, { __gc = function() error 'in a finalizer' end }) collectgarbage()",
    "warn '@on' setmetatable({}, { __gc = function() error 'in a finalizer' end })",
    TASK "task.spawn(error, 'not joined') task.sleep(0)",
    "local c = require 'modalua'.connect() print(c:get '/ok') print(c:get('/status', {}))",
    "local c = require 'modalua'.connect { retries = 0 } print(c:get '/reset-now') c:get "
    "'/garbage'",
    "local c = require 'modalua'.connect { timeout = 0.02 } assert(c:get '/hang')",
    "local c = require 'modalua'.connect 'https://127.0.0.1:1' assert(c:system())",
    "local m = require 'modalua' assert(m.connect(url:gsub('http', 'https')):system())",
    "require 'modalua'.bar { op = 'move', done = 1, total = 2, unit = 'studies', seconds = 1 }",
    "local c = require 'modalua'.connect() c:download('/big', '/nosuch/folder/file', { progress = "
    "true })",
    "local c = require 'modalua'.connect() c:modality 'pacs':move('1', { progress = true })",
    "os.exit(3)",
    "local t = {} while true do t[#t + 1] = ('x'):rep(1 << 20) .. #t end",
};

typedef struct capture {
    FILE *file;
    int out, err; /* copies of the original standard output and error */
    char folder[64];
} capture;

/* Redirects standard output and error to a file, and makes an empty folder the working folder and the
 * home of the process. */
static void begin(capture *c)
{
    strcpy(c->folder, "/tmp/guest-XXXXXX");
    CHECK(mkdtemp(c->folder) && chdir(c->folder) == 0);
    CHECK(setenv("HOME", c->folder, 1) == 0 && setenv("XDG_STATE_HOME", c->folder, 1) == 0);
    CHECK((c->file = tmpfile()));
    fflush(NULL);
    c->out = dup(STDOUT_FILENO);
    c->err = dup(STDERR_FILENO);
    CHECK(dup2(fileno(c->file), STDOUT_FILENO) >= 0 && dup2(fileno(c->file), STDERR_FILENO) >= 0);
}

static size_t files_in(const char *folder)
{
    DIR *d = opendir(folder);
    size_t n = 0;
    CHECK(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n - 2;
}

static void end(capture *c, const char *what)
{
    struct stat file;
    fflush(NULL);
    dup2(c->out, STDOUT_FILENO);
    dup2(c->err, STDERR_FILENO);
    close(c->out);
    close(c->err);
    CHECK(fstat(fileno(c->file), &file) == 0);
    if (file.st_size > 0 || files_in(c->folder) > 0) {
        fprintf(stderr, "%s\nwrote %ld bytes and made %zu files\n", what, (long)file.st_size,
                files_in(c->folder));
        CHECK(!"something was written");
    }
    fclose(c->file);
    CHECK(chdir("/") == 0 && rmdir(c->folder) == 0);
}

static void test_silence(const char *url)
{
    static const unsigned flags[] = { 0, MODALUA_NO_HOOK, MODALUA_SANDBOX, MODALUA_ENVIRONMENT };
    char json[80];
    capture c;
    snprintf(json, sizeof json, "\"%s\"", url);
    for (size_t f = 0; f < COUNT(flags); f++)
        for (size_t i = 0; i < COUNT(noisy); i++) {
            modalua_config config;
            modalua_runtime *rt = NULL;
            modalua_config_init(&config);
            config.flags = flags[f];
            config.url = url;
            config.memory_limit = HEAP;
            begin(&c);
            if (modalua_create(&rt, &config) == MODALUA_OK) {
                modalua_set_global(rt, "url", json);
                run(rt, noisy[i]);
                modalua_call(rt, "nosuch", "{", NULL);
            }
            modalua_destroy(rt);
            end(&c, noisy[i]);
            CHECK(rt);
        }
}

/* ---- a host with a locale that has a decimal comma ---- */

static void keep_line(void *user, const char *text, size_t size)
{
    snprintf(user, 200, "%.*s", (int)size, text);
}

static bool is_german(void)
{
    char text[8];
    snprintf(text, sizeof text, "%.1f", 1.5);
    return strcmp(text, "1,5") == 0 && uselocale((locale_t)0) == LC_GLOBAL_LOCALE &&
           strcmp(setlocale(LC_ALL, NULL), "de_DE.UTF-8") == 0;
}

static void test_locale(const char *url)
{
    const char *json;
    char line[200];
    modalua_config config;
    modalua_runtime *rt;
    CHECK(setlocale(LC_ALL, "de_DE.UTF-8") && is_german()); /* LOCPATH has it from the build */
    modalua_config_init(&config);
    config.url = url;
    config.log = keep_line;
    config.user = line;
    config.run_seconds = 2.25;
    rt = make(&config);
    CHECK(is_german());
    CHECK(modalua_set_global(rt, "host.ratio", "2.5") == MODALUA_OK && is_german());
    CHECK(run(rt, "assert(host.ratio == 5 / 2) host.half = host.ratio / 2 assert(tonumber '1.5' "
                  "and not tonumber '1,5')\n"
                  "assert(('%.2f'):format(1.5) == '1.50') function twice(t) return { x = t.x * 2 } "
                  "end") == MODALUA_OK &&
          is_german());
    CHECK(modalua_get_global(rt, "host.half", &json) == MODALUA_OK && strcmp(json, "1.25") == 0);
    CHECK(modalua_call(rt, "twice", "{\"x\": 0.75}", &json) == MODALUA_OK && is_german());
    CHECK(strcmp(json, "{\"x\":1.5}") == 0);
    CHECK(run(rt, "assert(require 'modalua'.connect():get('/delay', { s = 0.015 }))") ==
              MODALUA_OK &&
          is_german());
    CHECK(strstr(line, "s=0.015 200 in ") && strstr(line, " ms, 2 B"));
    CHECK(strchr(strstr(line, " in "), '.') && strchr(line, ',') == strstr(line, ", 2 B"));
    CHECK(run(rt, "while true do end") == MODALUA_E_LIMIT && is_german());
    CHECK(strstr(modalua_last_error(rt), "2.25 s"));
    CHECK(run(rt, "error { kind = 'x', code = 0.5 }") == MODALUA_E_SCRIPT && is_german());
    modalua_destroy(rt);
    CHECK(is_german());
    setlocale(LC_ALL, "C");
}

int main(int argc, char **argv)
{
    CHECK(argc == 2 && atexit(at_exit) == 0);
    test_endings();
    test_little_memory();
    test_silence(argv[1]);
    test_locale(argv[1]);
    over = true;
    return 0;
}
