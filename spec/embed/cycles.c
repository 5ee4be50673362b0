/* cycles.c - a host that makes a runtime, runs a script and destroys the runtime, ten thousand
 * times. Its memory and its number of descriptors must not grow. The argument is the URL of the
 * fault server. */
#define _POSIX_C_SOURCE 200809L

#include <dirent.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "modalua.h"

/* After WARM cycles every feature has been used, so all permanent allocations exist. A leak of 100
 * bytes in each cycle adds up to 100 * (CYCLES - WARM) bytes, which is more than BOUND. Under a
 * sanitizer, which finds leaks by itself, fewer cycles are enough. */
#if defined(__SANITIZE_ADDRESS__)
enum { WARM = 1000, CYCLES = 3000, BOUND = 160 * 1024 };
#else
enum { WARM = 1000, CYCLES = 10000, BOUND = 400 * 1024 };
#endif

/* ---- memory and descriptors of the process ---- */

static long resident(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    CHECK(file && fscanf(file, "%*d %ld", &pages) == 1);
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

static int descriptors(void)
{
    DIR *d = opendir("/proc/self/fd");
    int n = 0;
    CHECK(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

/* ---- a cycle ---- */

static const char *const scripts[] = {
    "local json = require 'modalua.json' print(json.encode(json.decode '[1, {\"a\": [2.5]}]'))",
    "local task = require 'modalua.task'\n"
    "local t = task.spawn(function() task.sleep(0) return 1 end) assert(t:join() == 1)",
    "error { kind = 'x', code = 'y' }",
    "x =",
    "local t <close> = setmetatable({}, { __close = print }) os.exit(3)",
    "local a = {} for i = 1, 100 do a[i] = coroutine.wrap(function() coroutine.yield(i) end)() end",
    "print(ask(1), ask(0))",
    "require 'modalua.task'.sleep(60)", /* the runtime is destroyed before this ends */
    "local c = require 'modalua'.connect() assert(c:get '/ok') print(c:get '/status')",
};
enum {
    SCRIPTS = sizeof scripts / sizeof *scripts,
    ENDLESS = SCRIPTS - 2,
    WITH_REQUESTS = SCRIPTS - 1,
    REQUESTS_EVERY = 20
};

static void discard(void *user, const char *text, size_t size)
{
    (void)text;
    *(size_t *)user += size;
}

static void answer(void *user, const char *arguments, modalua_reply *reply)
{
    (void)user;
    if (strcmp(arguments, "[1]") == 0)
        modalua_reply_json(reply, "{\"a\": [1, 2, 3]}");
    else
        modalua_reply_error(reply, "no", "never");
}

static void cycle(const char *url, int i)
{
    static const unsigned flags[] = { 0, MODALUA_NO_HOOK, MODALUA_SANDBOX };
    const char *code = scripts[i % REQUESTS_EVERY == 0 ? WITH_REQUESTS : i % WITH_REQUESTS];
    size_t written = 0;
    int status;
    modalua_config config;
    modalua_runtime *rt;
    modalua_config_init(&config);
    config.url = url;
    config.flags = flags[i / REQUESTS_EVERY % 3];
    config.memory_limit = i % 2 ? 1 << 20 : 0;
    config.write = config.log = discard;
    config.user = &written;
    CHECK(modalua_create(&rt, &config) == MODALUA_OK);
    CHECK(modalua_register(rt, "ask", answer, NULL) == MODALUA_OK);
    CHECK(modalua_set_global(rt, "host.list", "[1, 2, 3]") == MODALUA_OK);
    if (code == scripts[ENDLESS]) {
        CHECK(modalua_start_string(rt, "=cycle", code, strlen(code), NULL, NULL) == MODALUA_OK);
        CHECK(modalua_step(rt, 0) == MODALUA_WORKING);
    } else {
        status = modalua_run_string(rt, "=cycle", code, strlen(code));
        CHECK(status != MODALUA_E_NOMEM && modalua_last_error(rt));
        CHECK(code != scripts[WITH_REQUESTS] || (status == MODALUA_OK && written > 0));
        CHECK(modalua_last_error_json(rt));
    }
    modalua_destroy(rt);
}

int main(int argc, char **argv)
{
    long memory = 0, grown;
    int open = 0;
    CHECK(argc == 2);
    for (int i = 0; i < CYCLES; i++) {
        if (i == WARM) {
            memory = resident();
            open = descriptors();
        }
        cycle(argv[1], i);
    }
    grown = resident() - memory;
    if (grown > BOUND || descriptors() != open) {
        fprintf(stderr, "after %d cycles: memory grew by %ld bytes; %d descriptors instead of %d\n",
                CYCLES, grown, descriptors(), open);
        return 1;
    }
    return 0;
}
