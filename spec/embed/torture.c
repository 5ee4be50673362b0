/* torture.c - every allocation of a scenario fails in turn, in windows of one and of three: no
 * crash, no leak, and the run ends with success or with "not enough memory" in some form. Run under
 * ASan and LSan. Its argument is the URL of the fault server. */
#define _POSIX_C_SOURCE 200809L

#include <stdint.h>
#include <string.h>

#include "check.h"
#include "modalua.h"

typedef struct faulty {
    long countdown; /* successes before the failures; negative = never fail */
    long window;    /* failures in a row */
    long live;      /* blocks */
    long failed;
} faulty;

static void *faulty_alloc(void *user, void *block, size_t old_size, size_t new_size)
{
    faulty *f = user;
    void *moved;
    if (new_size == 0) {
        f->live -= block != NULL;
        free(block);
        return NULL;
    }
    if (!block || new_size > old_size) {
        if (f->countdown == 0 && f->window > 0) {
            f->window--;
            f->failed++;
            return NULL;
        }
        if (f->countdown > 0)
            f->countdown--;
    }
    moved = realloc(block, new_size);
    f->live += !block && moved;
    return moved;
}

static const char scenario[] =
    "local modalua, task, json = require 'modalua', require 'modalua.task', require "
    "'modalua.json'\n"
    "local client = modalua.connect('%s', {headers = {['X-A'] = 'b'}, username = 'u', password = "
    "'p'})\n"
    "assert(client:get('/answers', {n = 3}))\n"
    "local t = task.spawn(function() return assert(client:get '/ok') end)\n"
    "local u = task.spawn(function() local g <close> = setmetatable({}, {__close = function() "
    "end}) client:get '/hang' end)\n"
    "local v = task.spawn(error, 'x')\n"
    "task.sleep(0)\n"
    "u:cancel()\n"
    "t:join() u:join() v:join()\n"
    "client:post('/echo', {Level = 'Study', Query = {PatientID = '*'}})\n"
    "client:get('/status', {code = 500, body = "
    "'{\"HttpStatus\":500,\"OrthancStatus\":9,\"Details\":\"DIMSE status 0xA801\"}'})\n"
    "local text = json.encode({a = {1, 2.5, {}}, b = json.array{}, c = json.null, d = "
    "9007199254740993, e = 'x\\n'}, {indent = ' '})\n"
    "local back = json.decode(text)\n"
    "assert(back.d == 9007199254740993 and json.encode(back.b) == '[]')\n"
    "assert(not json.decode '[1,')\n"
    "assert(not pcall(modalua.connect, 'nonsense'))\n"
    "coroutine.wrap(function() pcall(error, {}) coroutine.yield() end)()\n"
    "local co = coroutine.create(error) coroutine.resume(co, 'e') debug.traceback(co)\n"
    "print(text)\n";

static void discard(void *user, const char *text, size_t size)
{
    (void)user;
    (void)text;
    (void)size;
}

/* One run with its failures at the n-th allocation. Returns whether anything failed. */
static int attempt(const char *code, long n, long window)
{
    faulty f = { n, window, 0, 0 };
    modalua_config config;
    modalua_runtime *rt = NULL;
    int status;
    modalua_config_init(&config);
    config.alloc = faulty_alloc;
    config.alloc_user = &f;
    config.write = discard;
    config.log = discard;
    status = modalua_create(&rt, &config);
    if (status == MODALUA_OK) {
        status = modalua_run_string(rt, "=torture", code, strlen(code));
        if (f.failed == 0 && status != MODALUA_OK) {
            fprintf(stderr, "%s\n", modalua_last_error(rt));
            exit(1);
        }
        CHECK(strlen(modalua_last_error(rt)) < 100000);
        modalua_destroy(rt);
    }
    CHECK(f.live == 0);
    CHECK(status <= 0 && status != MODALUA_E_BUSY && status != MODALUA_E_INVALID);
    return f.failed > 0;
}

int main(int argc, char **argv)
{
    static const long windows[] = { 1, 3 };
    char code[4096];
    long runs = 0;
    CHECK(argc == 2);
    snprintf(code, sizeof code, scenario, argv[1]);
    for (size_t w = 0; w < sizeof windows / sizeof windows[0]; w++)
        for (long n = 0; attempt(code, n, windows[w]); n++)
            runs++;
    printf("%ld runs failed an allocation\n", runs);
    CHECK(runs > 500);
    return 0;
}
