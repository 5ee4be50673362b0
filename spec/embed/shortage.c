/* shortage.c - the system refuses descriptors, memory or threads: each public function that needs one says
 * so, and all work again afterwards. The argument is the URL of the fault server. */
#define _GNU_SOURCE

#include <curl/curl.h>
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/resource.h>

#include "runs.h"

static const char *server;

/* ---- descriptors ---- */

static void limit_descriptors(rlim_t most)
{
    struct rlimit limit;
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = most;
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

/* Runs a GET in the runtime, which must fail with an error of this kind, and a message that has this text. */
static void get_fails(modalua_runtime *rt, const char *url, const char *kind, const char *text)
{
    char code[1024];
    snprintf(code, sizeof code,
             "local client = require 'modalua'.connect('%s', { retries = 0 })\n"
             "local ok, err = client:get '/ok'\n"
             "assert(not ok and err.kind == '%s' and err.message:find('%s', 1, true), err)\n",
             url, kind, text);
    pass(rt, code);
}

static void create_without_descriptors(void)
{
    char url[] = "http://example.org:8042";
    modalua_config config = watched();
    modalua_runtime *rt = (modalua_runtime *)url;
    config.url = url;
    config.username = config.password = config.module_path = "literal";
    errno = 0;
    CHECK(modalua_create(&rt, &config) == MODALUA_E_SYSTEM && errno == EMFILE && !rt);
    CHECK(strcmp(url, "http://example.org:8042") == 0 && config.url == url);
}

static void use_without_descriptors(modalua_runtime *rt, const char *file)
{
    struct pollfd fds[4];
    const char *json;
    int ms;
    CHECK(modalua_run_file(rt, file, 0, NULL) == MODALUA_E_FILE);
    CHECK(strstr(modalua_last_error(rt), "Too many open files"));
    CHECK(modalua_start_file(rt, file, 0, NULL, NULL, NULL) == MODALUA_E_FILE);
    get_fails(rt, server, "network", "Too many open files");
    CHECK(start(rt, "require 'modalua.task'.sleep(0.01)") == MODALUA_OK);
    CHECK(modalua_fds(rt, fds, 4, &ms) >= 1);
    CHECK(finish(rt) == MODALUA_OK);
    CHECK(modalua_set_global(rt, "x", "[1]") == MODALUA_OK);
    CHECK(modalua_get_global(rt, "x", &json) == MODALUA_OK && strcmp(json, "[1]") == 0);
    CHECK(modalua_call(rt, "json_encode", "[2]", &json) == MODALUA_OK &&
          strcmp(json, "\"[2]\"") == 0);
}

static void descriptors(modalua_runtime *rt, const char *file)
{
    struct rlimit before;
    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    limit_descriptors(3);
    create_without_descriptors();
    use_without_descriptors(rt, file);
    limit_descriptors(before.rlim_cur);
}

/* ---- memory ---- */

/* AddressSanitizer ends the process when the system refuses memory. */
#ifdef __SANITIZE_ADDRESS__
enum { SANITIZED = true };
#else
enum { SANITIZED = false };
#endif

enum { LARGE = 24 * 1000 * 1000, LEFT = 8 * 1000 * 1000, PIECE = 3 * 1000 * 1000, PIECES = 64 };

/* Limits the address space to what it is, and LEFT bytes, and takes all pieces that malloc still has: small
 * blocks can be had afterwards, and large ones cannot. */
static void limit_memory(struct rlimit *before, void **pieces)
{
    int count = 0;
    struct rlimit limit;
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    CHECK(f && fscanf(f, "%lu", &pages) == 1);
    fclose(f);
    CHECK(getrlimit(RLIMIT_AS, before) == 0);
    limit = *before;
    limit.rlim_cur = pages * 4096 + LEFT;
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    while ((pieces[count] = malloc(PIECE)) != NULL)
        CHECK(++count < PIECES);
}

static modalua_reply *kept;

static void keep(void *user, const char *arguments, modalua_reply *reply)
{
    (void)user;
    (void)arguments;
    CHECK(modalua_reply_keep(reply) == MODALUA_OK);
    kept = reply;
}

static void never_done(void *user, modalua_runtime *rt, unsigned long task, int status,
                       const char *json)
{
    (void)user;
    (void)rt;
    (void)task;
    (void)status;
    (void)json;
    CHECK(!"a task that was not accepted");
}

/* Beside the run under way. */
static void spawn_without_memory(modalua_runtime *rt, const char *text, const char *code)
{
    unsigned long task = 7;
    modalua_statistics stats = { .struct_size = sizeof stats };
    CHECK(modalua_spawn_call(rt, "json_encode", text, never_done, NULL, &task) == MODALUA_E_NOMEM &&
          task == 0);
    CHECK(modalua_spawn_string(rt, "=c", code, strlen(code), never_done, NULL, &task) ==
              MODALUA_E_NOMEM &&
          task == 0);
    CHECK(modalua_post(rt, "json_encode", text, never_done, NULL, &task) == MODALUA_E_NOMEM &&
          task == 0);
    CHECK(modalua_stats(rt, &stats) == MODALUA_OK && stats.tasks == 1);
}

/* `text` is the JSON of a string of LARGE characters, `code` and `file` a script as large. */
static void use_without_memory(modalua_runtime *rt, const char *text, const char *code,
                               const char *file)
{
    const char *words[] = { text }, *json;
    CHECK(modalua_set_global(rt, "x", text) == MODALUA_E_NOMEM);
    CHECK(modalua_set_arg(rt, 1, words, 0) == MODALUA_E_NOMEM);
    CHECK(modalua_call(rt, "json_encode", text, &json) == MODALUA_E_NOMEM && !json);
    CHECK(strstr(modalua_last_error(rt), "not enough memory"));
    CHECK(run(rt, code) == MODALUA_E_NOMEM);
    CHECK(modalua_run_file(rt, file, 0, NULL) == MODALUA_E_NOMEM);
    CHECK(modalua_get_global(rt, "large", &json) == MODALUA_E_NOMEM && !json);
    CHECK(start(rt, "assert(keep() == 1)") == MODALUA_OK);
    CHECK(modalua_step(rt, 0) == MODALUA_WORKING && kept);
    CHECK(modalua_reply_json(kept, text) == MODALUA_E_NOMEM);
    CHECK(modalua_reply_text(kept, text, strlen(text)) == MODALUA_E_NOMEM);
    CHECK(modalua_reply_json_bytes(kept, "1", text, strlen(text)) == MODALUA_E_NOMEM);
    spawn_without_memory(rt, text, code);
    CHECK(modalua_reply_json(kept, "1") == MODALUA_OK);
    CHECK(finish(rt) == MODALUA_OK);
    CHECK(run(rt, "y = ('x'):rep(24000000)") == MODALUA_E_NOMEM);
    pass(rt, "local client = require 'modalua'.connect(server)\n"
             "local ok, err = pcall(client.get, client, '/answers?n=100000')\n"
             "assert(not ok and err.kind == 'limit' and err.code == 'memory', err)");
}

static char *filled(size_t size, const char *from, const char *to)
{
    char *text = malloc(size + 1);
    CHECK(text);
    memset(text, 'x', size);
    memcpy(text, from, strlen(from));
    strcpy(text + size - strlen(to), to);
    return text;
}

static void memory_ends(modalua_runtime *rt, const char *folder_file)
{
    void *pieces[PIECES];
    struct rlimit before;
    char *text = filled(LARGE, "\"", "\""), *code = filled(LARGE, "return '", "'");
    FILE *f = fopen(folder_file, "we");
    CHECK(f && fputs(code, f) >= 0 && fclose(f) == 0);
    pass(rt, "large = ('x'):rep(24000000)");
    limit_memory(&before, pieces);
    use_without_memory(rt, text, code, folder_file);
    CHECK(setrlimit(RLIMIT_AS, &before) == 0);
    for (void **piece = pieces; *piece; piece++)
        free(*piece);
    CHECK(modalua_set_global(rt, "x", text) == MODALUA_OK);
    free(text);
    free(code);
    CHECK(remove(folder_file) == 0);
}

/* ---- threads ---- */

static bool has_threads = true;

/* Instead of that of the C library. */
int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*function)(void *),
                   void *user)
{
    int (*next)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    *(void **)&next = dlsym(RTLD_NEXT, "pthread_create");
    return has_threads ? next(thread, attributes, function, user) : EAGAIN;
}

static void threads(modalua_runtime *rt)
{
    modalua_config config = watched();
    bool waits =
        curl_version_info(CURLVERSION_NOW)->version_num >= 0x081400; /* 8.20: for another thread */
    has_threads = false;
    modalua_destroy(make(&config));
    if (waits)
        get_fails(rt, "http://name.invalid", "timeout", "time limit");
    else
        get_fails(rt, "http://name.invalid", "network", "thread failed to start");
    has_threads = true;
    get_fails(rt, "http://name.invalid", "network", "name.invalid");
}

/* ---- all of it ---- */

int main(int argc, char **argv)
{
    char file[256], code[512];
    modalua_config config = watched();
    modalua_runtime *rt;
    CHECK(argc == 2);
    server = argv[1];
    snprintf(file, sizeof file, "%s.lua", argv[0]);
    snprintf(code, sizeof code, "server, json_encode = '%s', require 'modalua.json'.encode",
             server);
    rt = make(&config);
    CHECK(modalua_register(rt, "keep", keep, NULL) == MODALUA_OK);
    pass(rt, code);
    /* Before any thread: its stack counts as address space, and the end of it would be memory that is free again. */
    if (!SANITIZED)
        memory_ends(rt, file);
    threads(rt);
    descriptors(rt, file);
    pass(rt, "assert(require 'modalua'.connect(server):get '/ok')");
    modalua_destroy(rt);
    return 0;
}
