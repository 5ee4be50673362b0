/* authorize.c - the host's `authorize` is asked about every HTTP request before it leaves, and what it
 * refuses is not sent. The argument is the URL of the fault server. */
#define _POSIX_C_SOURCE 200809L

#include <stdbool.h>

#include "runs.h"

static const char *url;

/* What the host was asked, a line for each request, or for polls of the same kind; and what it refuses. */
typedef struct judge {
    output asked;
    const char *method, *operation, *part; /* of the URL; NULL = any */
    const char *reason;                    /* NULL = it refuses nothing */
    int times;
    modalua_runtime *rt; /* it tries to use the runtime, when this is not NULL */
} judge;

static bool is(const char *wanted, const char *given)
{
    return !wanted || strcmp(wanted, given) == 0;
}

/* Polls may be one or many. */
static void note(output *asked, const char *line)
{
    size_t size = strlen(line);
    if (asked->size < size || strcmp(asked->text + asked->size - size, line) != 0)
        collect(asked, line, size);
}

static const char *decide(void *user, const char *method, const char *given, const char *operation)
{
    judge *j = user;
    char line[300];
    CHECK(strncmp(given, url, strlen(url)) == 0 && !strstr(given, "secret"));
    CHECK(snprintf(line, sizeof line, "%s %s %s\n", operation, method, given + strlen(url)) <
          (int)sizeof line);
    if (strstr(given, "/count?"))
        return NULL;
    note(&j->asked, line);
    if (j->rt)
        CHECK(run(j->rt, "f()") == MODALUA_E_BUSY && modalua_step(j->rt, 0) == MODALUA_E_BUSY);
    return is(j->method, method) && is(j->operation, operation) &&
                   (!j->part || strstr(given, j->part))
               ? j->reason
               : NULL;
}

static modalua_config judged(judge *j)
{
    modalua_config config = watched();
    config.url = url_with_password(url);
    config.authorize = decide;
    config.user = j;
    return config;
}

/* Runs the code, and compares what the host was asked. */
static void try_code(judge j, const char *code, const char *asked)
{
    modalua_config config = judged(&j);
    modalua_runtime *rt = make(&config);
    pass(rt, "modalua, task = require 'modalua', require 'modalua.task'\n"
             "client = modalua.connect { retries = 1 }\n"
             "query = { Level = 'Study', Query = { StudyInstanceUID = '1.2' }, prove = false }\n"
             "function refused(value, err) assert(value == nil and err.kind == 'refused' and\n"
             "  err.code == 'host' and not err.retryable, tostring(err)) return err end");
    j.rt = rt;
    pass(rt, code);
    if (strcmp(j.asked.text, asked) != 0)
        fprintf(stderr, "asked:\n%sin: %s\n", j.asked.text, code);
    CHECK(strcmp(j.asked.text, asked) == 0);
    modalua_destroy(rt);
}

/* Sends requests to the fault server that no host judges. */
static void control(const char *code)
{
    modalua_config config = watched();
    modalua_runtime *rt;
    config.url = url;
    rt = make(&config);
    pass(rt, "client = require 'modalua'.connect()\n"
             "function sent(n, path)\n"
             "  local count = assert(client:get('/count', { of = path }))\n"
             "  assert(count == n, path .. ': ' .. count .. ' requests') end");
    pass(rt, code);
    modalua_destroy(rt);
}

static void test_allowed(void)
{
    const judge all = { .reason = NULL };
    try_code(all, "assert(client:get('/ok', { a = 'b c' })) assert(client:post('/ok', {}))",
             "get GET /ok?a=b%20c\npost POST /ok\n");
    try_code(all, "assert(not client:get '/status?code=503')", "get GET /status?code=503\n");
    try_code(all,
             "local _, err = client:get '/redirect?to=/elsewhere' assert(err.code == 'redirect')",
             "get GET /redirect?to=/elsewhere\n");
    control("sent(0, '/elsewhere')");
}

static void test_refused(void)
{
    char longer[400], code[400];
    judge j = { .reason = "not this one\n", .part = "/ok" };
    control("client:get '/reset'");
    try_code(j,
             "local err = refused(client:get '/ok')\n"
             "assert(err.message == 'the host of this script refuses the request: not this "
             "one\\\\n', err.message)\n"
             "assert(err.method == 'GET' and err.path == '/ok' and err.op == 'get')\n"
             "refused(client:post('/ok', {})) refused(client:put('/ok', '')) "
             "refused(client:delete '/ok')",
             "get GET /ok\npost POST /ok\nput PUT /ok\ndelete DELETE /ok\n");
    control("sent(0, '/ok')");
    j.reason = "";
    try_code(j, "assert(refused(client:get '/ok').message:find 'the request$')", "get GET /ok\n");
    memset(longer, 'x', sizeof longer);
    memcpy(longer + 198, "\u00e9\u00e9", 5); /* with the NUL: 202 bytes */
    j.reason = longer;
    snprintf(code, sizeof code,
             "local _, n = refused(client:get '/ok').message:gsub('x', '') assert(n == 198 or n == "
             "200, n)\nassert(utf8.len(refused(client:get '/ok').message))");
    try_code(j, code, "get GET /ok\n");
}

/* A request that is sent again is asked about again. */
static const char *only_once(void *user, const char *method, const char *given,
                             const char *operation)
{
    judge *j = user;
    decide(user, method, given, operation);
    return j->times++ > 0 ? "once is enough" : NULL;
}

static void test_again(void)
{
    judge j = { .reason = NULL };
    modalua_config config = judged(&j);
    modalua_runtime *rt;
    control("client:get '/reset'");
    config.authorize = only_once;
    rt = make(&config);
    pass(rt, "local _, err = require 'modalua'.connect { retries = 3 }:get '/status?code=503'\n"
             "assert(err.kind == 'refused' and err.message:find 'once is enough')");
    modalua_destroy(rt);
    control("sent(1, '/status')");
}

/* The modality m finds one study; its moves go on until they are cancelled. */
static void play_orthanc(void)
{
    control(
        "local answers = {\n"
        "  { 'POST', '/modalities/m/query', '{\"ID\":\"1a\",\"Path\":\"/queries/1a\"}' },\n"
        "  { 'GET', '/queries/1a/answers', '[{\"StudyInstanceUID\":\"1.2\"}]' },\n"
        "  { 'DELETE', '/queries/1a', '{}' },\n"
        "  { 'GET', '/system', '{\"Version\":\"1.12.7\",\"DicomAet\":\"A\"}' },\n"
        "  { 'GET', '/jobs', '[]' },\n"
        "  { 'GET', '/modalities', '{}' },\n"
        "  { 'POST', '/queries/1a/retrieve', '{\"ID\":\"2b\",\"Path\":\"/jobs/2b\"}' },\n"
        "  { 'GET', '/jobs/2b', '{\"ID\":\"2b\",\"State\":\"Running\",\"Content\":{}}' },\n"
        "  { 'POST', '/jobs/2b/cancel', '{}' } }\n"
        "for _, a in ipairs(answers) do\n"
        "  local body = a[3]:gsub('[^%w]', function(c) return ('%%%02X'):format(c:byte()) end)\n"
        "  assert(client:get('/map', { method = a[1], path = a[2], to = '/status?code=200&body=' "
        ".. body }))\n"
        "end client:get '/reset'");
}

/* The operation has sent a request of that path, which is not answered, or a poll of a job that does not
 * end; then it is cancelled. */
static void try_cancelled(judge j, const char *operation, const char *path, const char *asked)
{
    char code[700];
    snprintf(code, sizeof code,
             "local found <close> = client:modality 'm':find(query)\n"
             "local t = task.spawn(function() local _, err = %s ended = tostring(err) end)\n"
             "local function sent() return client:get('/count', { of = '%s' }) > 0 end\n"
             "repeat task.sleep(0.001) until sent() or ended\n"
             "assert(not ended, ended) t:cancel()",
             operation, path);
    try_code(j, code, asked);
}

#define MOVE "client:modality 'm':move(found, { TargetAet = 'B', verify = false })"

#define ASKED                                                                     \
    "find POST /modalities/m/query\n"                                             \
    "find GET /queries/1a/answers?expand&simplify\n"                              \
    "move GET /queries/1a/answers?expand&simplify\nmove GET /modalities?expand\n" \
    "move GET /jobs?expand\nmove POST /queries/1a/retrieve\nmove GET /jobs/2b\n"  \
    "cleanup DELETE /queries/1a\ncleanup POST /jobs/2b/cancel\n"

static void test_cleanup(void)
{
    judge j = { .reason = NULL };
    play_orthanc();
    try_code(j, "assert(client:modality 'm':find(query):close())",
             "find POST /modalities/m/query\nfind GET /queries/1a/answers?expand&simplify\n"
             "close DELETE /queries/1a\n");
    control("sent(1, '/queries/1a')");
    play_orthanc();
    try_cancelled(j, MOVE, "/jobs/2b", ASKED);
    control("sent(1, '/queries/1a') sent(1, '/jobs/2b/cancel')");
    j.operation = "cleanup";
    j.reason = "no";
    play_orthanc();
    try_cancelled(j, MOVE, "/jobs/2b", ASKED);
    control("sent(0, '/queries/1a') sent(0, '/jobs/2b/cancel')");
    j.operation = NULL;
    j.method = "POST";
    j.part = "/retrieve";
    try_code(j,
             "local found <close> = client:modality 'm':find(query)\n"
             "refused(client:modality 'm':move(found, { TargetAet = 'B', verify = false }))",
             "find POST /modalities/m/query\n"
             "find GET /queries/1a/answers?expand&simplify\n"
             "move GET /queries/1a/answers?expand&simplify\nmove GET /modalities?expand\n"
             "move GET /jobs?expand\nmove POST /queries/1a/retrieve\ncleanup DELETE /queries/1a\n");
}

int main(int argc, char **argv)
{
    url = server_url(argc, argv);
    test_allowed();
    test_refused();
    test_again();
    test_cleanup();
    return 0;
}
