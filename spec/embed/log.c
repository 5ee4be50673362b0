/* log.c - the entries of the log with their fields and levels, and the statistics of a runtime. The
 * argument is the URL of the fault server. */
#define _POSIX_C_SOURCE 200809L

#include <stdbool.h>

#include "runs.h"

static const char *url;

/* The entries, a line for each: its fields without the time. */
typedef struct log {
    output entries, lines;
    bool has_times;
    modalua_runtime *rt;
    modalua_statistics inside; /* what the statistics were in the last entry */
} log_of_run;

static void on_entry(void *user, const modalua_log_entry *e)
{
    log_of_run *l = user;
    char line[500];
    CHECK(e->struct_size == sizeof *e && strncmp(e->url, url, strlen(url)) == 0);
    CHECK(!strstr(e->text, "secret") && !strstr(e->url, "secret"));
    snprintf(line, sizeof line, "%d %s %s %s %d %d %u %zu %s\n", e->level, e->operation, e->method,
             e->url + strlen(url), e->status, e->dimse_status, e->tries, e->bytes,
             e->error ? "error" : "answer");
    collect(&l->entries, line, strlen(line));
    l->has_times = l->has_times && e->seconds > 0;
    l->inside.struct_size = sizeof l->inside;
    CHECK(modalua_stats(l->rt, &l->inside) == MODALUA_OK);
}

static void on_line(void *user, const char *text, size_t size)
{
    log_of_run *l = user;
    collect(&l->lines, text, size);
    collect(&l->lines, "\n", 1);
}

static int lines_in(const char *text)
{
    int n = 0;
    for (; *text; text++)
        n += *text == '\n';
    return n;
}

static void try_code(int level, const char *code, const char *expected)
{
    static log_of_run l;
    modalua_config config = watched();
    memset(&l, 0, sizeof l);
    l.has_times = true;
    config.url = url_with_password(url);
    config.log_entry = on_entry;
    config.log = on_line;
    config.log_level = level;
    config.user = &l;
    l.rt = make(&config);
    pass(l.rt, "client = require 'modalua'.connect { retries = 1 }");
    pass(l.rt, code);
    if (strcmp(l.entries.text, expected) != 0)
        fprintf(stderr, "got:\n%sfor: %s\n", l.entries.text, code);
    CHECK(strcmp(l.entries.text, expected) == 0 && l.has_times);
    CHECK(lines_in(l.lines.text) == lines_in(expected));
    modalua_destroy(l.rt);
}

static void test_fields(void)
{
    try_code(MODALUA_LOG_DEBUG, "client:get('/delay?s=0.01&body=[1]') client:post('/ok', {})",
             "0 get GET /delay?s=0.01&body=[1] 200 -1 1 3 answer\n"
             "1 post POST /ok 200 -1 1 2 answer\n");
    try_code(MODALUA_LOG_WARNING,
             "client:get('/ok') client:post('/ok') client:get '/status?code=404'",
             "2 get GET /status?code=404 404 -1 1 0 answer\n");
    try_code(MODALUA_LOG_DEBUG, "client:get '/status?code=503'",
             "3 get GET /status?code=503 503 -1 1 0 answer\n"
             "2 get GET /status?code=503 503 -1 1 0 error\n"
             "3 get GET /status?code=503 503 -1 2 0 answer\n");
    try_code(MODALUA_LOG_ERROR, "client:post '/drop'", "3 post POST /drop 0 -1 1 0 error\n");
    try_code(
        MODALUA_LOG_ERROR,
        "client:post '/status?code=500&body=%7B%22Details%22:%22DIMSE%20status%200xA702%22%7D'",
        "3 post POST "
        "/status?code=500&body=%7B%22Details%22:%22DIMSE%20status%200xA702%22%7D 500 42754 1 "
        "33 answer\n");
    try_code(MODALUA_LOG_ERROR,
             "client:post '/status?code=500&body=%7B%22DimseErrorStatus%22%20:%2042753%7D'",
             "3 post POST /status?code=500&body=%7B%22DimseErrorStatus%22%20:%2042753%7D 500 42753 "
             "1 28 answer\n");
}

static const char *refuse(void *user, const char *method, const char *given, const char *operation)
{
    (void)user;
    (void)given;
    (void)operation;
    return strcmp(method, "PUT") == 0 ? "not this" : NULL;
}

static void test_statistics(void)
{
    static log_of_run l;
    modalua_config config = watched();
    modalua_statistics s = { .struct_size = sizeof s },
                       small = { .struct_size = 2 * sizeof(size_t) };
    config.url = url;
    config.log_entry = on_entry;
    config.authorize = refuse;
    config.user = &l;
    config.memory_limit = (size_t)64 << 20;
    l.rt = make(&config);
    CHECK(modalua_stats(l.rt, &s) == MODALUA_OK && s.memory > 10000 && s.memory <= s.memory_peak);
    CHECK(s.tasks == 0 && s.requests == 0 && s.sockets == 0 && s.bytes_sent == 0);
    pass(l.rt, "client = require 'modalua'.connect() client:post('/ok', ('x'):rep(1000))\n"
               "client:get '/big?bytes=5000000' client:put '/refused'");
    CHECK(strstr(l.entries.text, "2 put PUT /refused 0 -1 1 0 error"));
    CHECK(l.inside.tasks == 1);
    CHECK(modalua_stats(l.rt, &s) == MODALUA_OK && s.requests == 2 && s.tasks == 0);
    CHECK(s.bytes_sent == 1000 && s.bytes_received == 5000002 && s.sockets == 1);
    CHECK(s.memory_peak > 5000000 && s.memory_peak <= config.memory_limit);
    CHECK(start(l.rt, "local task = require 'modalua.task'\n"
                      "for _ = 1, 10 do task.spawn(client.get, client, '/hang') end "
                      "task.sleep(1e6)") == MODALUA_OK);
    do {
        CHECK(modalua_step(l.rt, 1) == MODALUA_WORKING);
        CHECK(modalua_stats(l.rt, &s) == MODALUA_OK);
    } while (s.requests_running < 8 || s.sockets < 8);
    CHECK(s.requests_running == 8 && s.requests_waiting == 2 && s.tasks == 11 && s.sockets == 8);
    modalua_cancel(l.rt);
    CHECK(finish(l.rt) == MODALUA_E_CANCELLED);
    CHECK(modalua_stats(l.rt, &s) == MODALUA_OK && s.requests == 10 && s.requests_running == 0);
    CHECK(s.requests_waiting == 0 && s.sockets == 0 && s.tasks == 0);
    CHECK(modalua_stats(l.rt, &small) == MODALUA_OK && small.struct_size == 2 * sizeof(size_t) &&
          small.memory > 0 && small.memory_peak == 0);
    small.struct_size = 0;
    CHECK(modalua_stats(l.rt, &small) == MODALUA_E_INVALID);
    CHECK(modalua_stats(NULL, &s) == MODALUA_E_INVALID);
    CHECK(modalua_stats(l.rt, NULL) == MODALUA_E_INVALID);
    modalua_destroy(l.rt);
}

static void test_config(void)
{
    modalua_config config;
    modalua_config_init(&config);
    config.log_level = 4;
    CHECK(strstr(modalua_config_fault(&config), "log_level"));
    config.log_level = -1;
    CHECK(strstr(modalua_config_fault(&config), "log_level"));
}

int main(int argc, char **argv)
{
    url = server_url(argc, argv);
    test_fields();
    test_statistics();
    test_config();
    return 0;
}
