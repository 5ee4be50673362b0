/* bounds.c - what a script can take beside the Lua heap has bounds: sockets, the memory of libcurl, the
 * threads that look names up. The program stands before getaddrinfo and clock_gettime. Its argument is
 * the URL of the fault server. */
#define _GNU_SOURCE

#include <curl/curl.h>
#include <dirent.h>
#include <netdb.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runs.h"

enum { SANDBOX_INFLIGHT = 32, LOOKUPS_MAX = 16 };

static const char *url;

/* ---- sockets ---- */

/* Three times as many requests as may run together wait for each other at a barrier. */
static void try_sockets(modalua_config config, int limit)
{
    char code[700];
    modalua_runtime *rt;
    config.url = url;
    rt = make(&config);
    snprintf(code, sizeof code,
             "local modalua, task, limit = require 'modalua', require 'modalua.task', %d\n"
             "local client = modalua.connect { max_inflight = 700 }\n"
             "client:get '/reset'\n"
             "local tasks = {}\n"
             "for i = 1, 3 * limit do\n"
             "  tasks[i] = task.spawn(client.get, client, '/barrier?n=' .. limit)\n"
             "end\n"
             "for _, t in ipairs(tasks) do assert(t:join()) end\n"
             "local seen = client:get '/requests'\n"
             "assert(seen.peak == limit, seen.peak)",
             limit);
    pass(rt, code);
    modalua_destroy(rt);
}

static void test_sockets(void)
{
    modalua_config config = watched();
    config.flags = MODALUA_SANDBOX;
    try_sockets(config, SANDBOX_INFLIGHT);
    config.max_inflight = 5;
    try_sockets(config, 5);
    config.flags = 0;
    try_sockets(config, 5);
    config.max_inflight = 40;
    config.flags = MODALUA_SANDBOX;
    try_sockets(config, 40);
}

/* ---- memory ---- */

static void test_memory(void)
{
    modalua_config config = watched();
    modalua_runtime *rt;
    config.url = url;
    config.flags = MODALUA_SANDBOX;
    config.memory_limit = (size_t)32 << 20;
    rt = make(&config);
    pass(rt,
         "local client = require 'modalua'.connect { retries = 0 }\n"
         "assert(client:get '/huge-header?bytes=1000&lines=100')\n"
         "local _, err = client:get '/huge-header?bytes=1000&lines=140'\n"
         "assert(err.kind == 'http' and err.message:find 'head of the answer is too large', err)\n"
         "client:get '/map?path=/studies/1/x&to=/huge-header?bytes=1000%26lines=140'\n"
         "_, err = client:post '/studies/1/x'\n"
         "assert(err.kind == 'unknown' and err.code == 'http', err)");
    /* the headers of the clients are in libcurl's memory */
    CHECK(run(rt, "local headers, clients = {}, {}\n"
                  "for i = 1, 20000 do headers['X-' .. i] = 'v' end\n"
                  "while true do\n"
                  "  clients[#clients + 1] = require 'modalua'.connect { headers = headers }\n"
                  "  if #clients > 100 then return end\n"
                  "end") != MODALUA_OK);
    CHECK(strstr(modalua_last_error(rt), "not enough memory"));
    modalua_destroy(rt);
    rt = make(&config);
    /* libcurl copies the URL and the token for each request */
    pass(rt, "local task, big = require 'modalua.task', ('x'):rep(2000000)\n"
             "local client = require 'modalua'.connect { token = big, retries = 0 }\n"
             "local tasks = {}\n"
             "for i = 1, 8 do tasks[i] = task.spawn(pcall, client.get, client, '/hang') end\n"
             "local _, err = tasks[8]:join()\n"
             "assert(err.kind == 'limit' and err.message:find 'memory for the request', err)\n"
             "for _, t in ipairs(tasks) do t:cancel() end");
    /* all of it is given back */
    pass(rt, "for _ = 1, 50 do\n"
             "  assert(require 'modalua'.connect { token = ('x'):rep(100000) }:get '/ok') end");
    modalua_destroy(rt);
}

/* ---- lookups ---- */

static atomic_int lookups;
static atomic_bool may_end;
static atomic_long seconds_ahead; /* of the clock */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t ended = PTHREAD_COND_INITIALIZER;

/* A name server that does not answer. */
int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                struct addrinfo **list)
{
    (void)host;
    (void)service;
    (void)hints;
    *list = NULL;
    atomic_fetch_add(&lookups, 1);
    pthread_mutex_lock(&lock);
    while (!atomic_load(&may_end))
        pthread_cond_wait(&ended, &lock);
    pthread_mutex_unlock(&lock);
    return EAI_NONAME;
}

int clock_gettime(clockid_t clock, struct timespec *t)
{
    int result = (int)syscall(SYS_clock_gettime, clock, t);
    t->tv_sec += atomic_load(&seconds_ahead);
    return result;
}

/* Of this process. */
static int threads(void)
{
    int n = 0;
    DIR *list = opendir("/proc/self/task");
    CHECK(list);
    while (readdir(list))
        n++;
    closedir(list);
    return n - 2; /* "." and ".." */
}

static void step_often(modalua_runtime *rt)
{
    for (int i = 0; i < 200; i++)
        CHECK(modalua_step(rt, 1) == MODALUA_WORKING);
}

/* From 8.20 on libcurl's lookups share threads: its default, and one for each lookup that may have been given up. All
 * of them are taken by lookups that do not end. */
static int lookups_at_last(void)
{
    bool shared = curl_version_info(CURLVERSION_NOW)->version_num >= 0x081400;
    return shared ? 20 + LOOKUPS_MAX : 2 * SANDBOX_INFLIGHT;
}

/* A thread cannot be stopped, and ends when the system does. The requests give up, again and again. The end of the
 * runtime does not wait for the threads. */
static void test_lookups(void)
{
    modalua_config config = watched();
    modalua_runtime *rt;
    config.url = "http://nowhere.example:8042";
    config.flags = MODALUA_SANDBOX;
    config.run_seconds = 0;
    rt = make(&config);
    CHECK(start(rt, "local modalua, task = require 'modalua', require 'modalua.task'\n"
                    "local client = modalua.connect { max_inflight = 700, retries = 0,\n"
                    "  connect_timeout = 0.001 }\n"
                    "for i = 1, 300 do\n"
                    "  task.spawn(function() while true do client:get '/' task.sleep(0) end end)\n"
                    "end\n"
                    "task.sleep(1e6)") == MODALUA_OK);
    while (atomic_load(&lookups) < SANDBOX_INFLIGHT)
        CHECK(modalua_step(rt, 1) == MODALUA_WORKING);
    step_often(rt);
    CHECK(atomic_load(&lookups) <= SANDBOX_INFLIGHT + LOOKUPS_MAX);
    atomic_store(&seconds_ahead, 61); /* the lookups are expected to have ended by now */
    while (atomic_load(&lookups) < lookups_at_last())
        CHECK(modalua_step(rt, 1) == MODALUA_WORKING);
    step_often(rt);
    CHECK(atomic_load(&lookups) <= 2 * (SANDBOX_INFLIGHT + LOOKUPS_MAX));
    modalua_destroy(rt);
    pthread_mutex_lock(&lock);
    atomic_store(&may_end, true);
    pthread_cond_broadcast(&ended);
    pthread_mutex_unlock(&lock);
    while (threads() > 1)
        sched_yield();
}

int main(int argc, char **argv)
{
    url = server_url(argc, argv);
    test_sockets();
    test_memory();
    test_lookups();
    return 0;
}
