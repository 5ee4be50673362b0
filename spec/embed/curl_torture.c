/* curl_torture.c - like torture.c, for the allocations of libcurl: each of them fails once. The
 * runtime must not crash or leak, and every operation must return a value or an error. The argument
 * is the URL of the fault server. */
#define _POSIX_C_SOURCE 200809L

#include <curl/curl.h>
#include <stdbool.h>
#include <string.h>

#include "check.h"
#include "modalua.h"

/* Globals, because the allocator functions of libcurl have no user pointer. */
static long countdown = -1, window, live, failed;

static bool fails(void)
{
    if (countdown == 0 && window > 0) {
        window--;
        failed++;
        return true;
    }
    countdown -= countdown > 0;
    return false;
}

static void *counted(void *block)
{
    live += block != NULL;
    return block;
}

static void *on_malloc(size_t size)
{
    return fails() ? NULL : counted(malloc(size));
}

static void *on_calloc(size_t count, size_t size)
{
    return fails() ? NULL : counted(calloc(count, size));
}

static char *on_strdup(const char *text)
{
    return fails() ? NULL : counted(strdup(text));
}

static void *on_realloc(void *block, size_t size)
{
    if (fails())
        return NULL;
    return block ? realloc(block, size) : counted(malloc(size));
}

static void on_free(void *block)
{
    live -= block != NULL;
    free(block);
}

static const char scenario[] =
    "local modalua, task = require 'modalua', require 'modalua.task'\n"
    "local client = modalua.connect('%s', {headers = {['X-A'] = 'b'}, username = 'u', password = "
    "'p'})\n"
    "local function check(value, err) assert(value or modalua.is_error(err)) end\n"
    "check(client:get '/answers?n=3')\n"
    "check(client:post('/echo', {a = 1}))\n"
    "local t = task.spawn(client.get, client, '/hang') task.sleep(0) t:cancel() t:join()\n"
    "local away = modalua.connect('http://orthanc.invalid', {proxy = '%s'})\n"
    "check(away:get('/gzip', {text = 'x', ['repeat'] = 100}))\n";

static void attempt(const char *code)
{
    modalua_config config;
    modalua_runtime *rt;
    int status;
    modalua_config_init(&config);
    config.flags = MODALUA_NO_GLOBAL_INIT;
    CHECK(modalua_create(&rt, &config) == MODALUA_OK);
    status = modalua_run_string(rt, "=torture", code, strlen(code));
    /* connect and requests may throw an error about memory; the run may not fail otherwise. */
    if (status != MODALUA_OK && !strstr(modalua_last_error(rt), "memory")) {
        fprintf(stderr, "%s\n", modalua_last_error(rt));
        exit(1);
    }
    modalua_destroy(rt);
}

int main(int argc, char **argv)
{
    char code[2000];
    long base, runs = 0;
    CHECK(argc == 2);
    snprintf(code, sizeof code, scenario, argv[1], argv[1]);
    CHECK(curl_global_init_mem(CURL_GLOBAL_DEFAULT, on_malloc, on_free, on_realloc, on_strdup,
                               on_calloc) == CURLE_OK);
    attempt(code); /* libcurl makes its permanent allocations now */
    base = live;
    for (long width = 1; width <= 3; width += 2)
        for (long n = 0, some = 1; some > 0; n++, some = failed) {
            countdown = n;
            window = width;
            failed = 0;
            attempt(code);
            CHECK(live == base);
            runs++;
        }
    printf("%ld runs\n", runs);
    CHECK(runs > 300);
    return 0;
}
