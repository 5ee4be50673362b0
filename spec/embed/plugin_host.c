/* plugin_host.c - plays the server's part of Orthanc's plugin API, for the plugin in src/orthanc_plugin. So the
 * sanitizers see the plugin, which an Orthanc without them could not load. One thread makes changes, others call the
 * plugin's routes, and the server starts and stops twice. */
#define _GNU_SOURCE

#include <orthanc/OrthancCPlugin.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "plugin_log.h"

enum { CHANGES = 500, ASKERS = 3, ROUTES = 8, EVENTS = 10000, FILTERED = 2000, REFUSED = 30 };

ORTHANC_PLUGINS_API int32_t OrthancPluginInitialize(OrthancPluginContext *context);
ORTHANC_PLUGINS_API void OrthancPluginFinalize(void);

/* ---- the server ---- */

static struct server {
    pthread_mutex_t lock;
    unsigned refused; /* requests for what is not there */
    long changes;     /* the Seq of the last one */
    long seen;        /* the Seq of the last one that the script has told of */
    char place[1000]; /* the global property */
    char configuration[2000];
    OrthancPluginOnChangeCallback on_change;
    OrthancPluginIncomingHttpRequestFilter2 filter;
    pthread_cond_t has_ended;
    unsigned long too_late; /* requests that a script has not answered in time */
    bool acts;              /* that script is stopped and started meanwhile */
    _OrthancPluginRestCallback routes[ROUTES];
    size_t count;
} server = { .lock = PTHREAD_MUTEX_INITIALIZER, .has_ended = PTHREAD_COND_INITIALIZER };

/* There is not enough memory for a copy of this text. */
static const char no_copy[] = "cannot be copied";

char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);

char *__wrap_strdup(const char *text)
{
    return strcmp(text, no_copy) == 0 ? NULL : __real_strdup(text);
}

static void set_buffer(OrthancPluginMemoryBuffer *b, const char *data)
{
    b->size = (uint32_t)strlen(data);
    b->data = malloc(b->size + 1);
    CHECK(b->data);
    memcpy(b->data, data, b->size);
}

/* The changes behind `since`, as Orthanc writes them. */
static void list_changes(const char *uri, char *body, size_t room)
{
    const char *since = strstr(uri, "since=");
    long from = since ? strtol(since + 6, NULL, 10) : server.changes;
    size_t size = (size_t)snprintf(body, room, "{\"Changes\":[");
    long last = from;
    for (; last < server.changes && last < from + 50; last++)
        size += (size_t)snprintf(body + size, room - size,
                                 "%s{\"Seq\":%ld,\"ChangeType\":\"NewStudy\",\"ID\":\"a\"}",
                                 last == from ? "" : ",", last + 1);
    snprintf(body + size, room - size, "],\"Last\":%ld,\"Done\":%s}", last,
             last == server.changes ? "true" : "false");
}

static OrthancPluginErrorCode call_rest(const _OrthancPluginCallRestApi *p)
{
    char body[8000] = "{}";
    OrthancPluginErrorCode code = OrthancPluginErrorCode_Success;
    pthread_mutex_lock(&server.lock);
    if (strcmp(p->uri, "/system") == 0)
        strcpy(body, "{\"Version\":\"1.10.1\",\"Name\":\"harness\"}");
    else if (strncmp(p->uri, "/changes", 8) == 0)
        list_changes(p->uri, body, sizeof body);
    else if (strncmp(p->uri, "/seen/", 6) == 0)
        server.seen = strtol(p->uri + 6, NULL, 10);
    else
        code = OrthancPluginErrorCode_UnknownResource;
    if (strcmp(p->uri, "/nope") == 0) /* each takes another time */
        usleep(1000 * server.refused++);
    pthread_mutex_unlock(&server.lock);
    if (code != OrthancPluginErrorCode_Success)
        return code;
    *p->httpStatus = 200;
    set_buffer(p->answerBody, body);
    set_buffer(p->answerHeaders, "{\"content-type\":\"application\\/json\"}");
    return code;
}

/* The output of a route: what it has answered. */
typedef struct output {
    int status;
    char body[20000];
} output;

static void set_output(OrthancPluginRestOutput *o, int status, const void *body, size_t size)
{
    output *out = (output *)o;
    CHECK(size < sizeof out->body);
    out->status = status;
    memcpy(out->body, body, size);
    out->body[size] = '\0';
}

static void get_property(const _OrthancPluginGlobalProperty *p)
{
    pthread_mutex_lock(&server.lock);
    *p->result = strdup(server.place[0] ? server.place : p->value);
    pthread_mutex_unlock(&server.lock);
}

static void set_property(const _OrthancPluginGlobalProperty *p)
{
    pthread_mutex_lock(&server.lock);
    snprintf(server.place, sizeof server.place, "%s", p->value);
    pthread_mutex_unlock(&server.lock);
}

static OrthancPluginErrorCode serve(struct _OrthancPluginContext_t *context,
                                    _OrthancPluginService service, const void *params)
{
    const _OrthancPluginAnswerBuffer *a = params;
    const _OrthancPluginSendHttpStatus *h = params;
    const _OrthancPluginSetHttpErrorDetails *e = params;
    (void)context;
    switch ((int)service) {
    case _OrthancPluginService_GetConfiguration:
        *((const _OrthancPluginRetrieveDynamicString *)params)->result =
            strdup(server.configuration);
        break;
    case _OrthancPluginService_GetErrorDescription:
        *((const _OrthancPluginGetErrorDescription *)params)->target = "an error";
        break;
    case _OrthancPluginService_RegisterOnChangeCallback:
        server.on_change = ((const _OrthancPluginOnChangeCallback *)params)->callback;
        break;
    case _OrthancPluginService_RegisterIncomingHttpRequestFilter2:
        server.filter = ((const _OrthancPluginIncomingHttpRequestFilter2 *)params)->callback;
        break;
    case _OrthancPluginService_LogError:
    case _OrthancPluginService_LogWarning: log_count(params); break;
    case _OrthancPluginService_RegisterRestCallbackNoLock:
        CHECK(server.count < ROUTES);
        server.routes[server.count++] = *(const _OrthancPluginRestCallback *)params;
        break;
    case _OrthancPluginService_GetGlobalProperty: get_property(params); break;
    case _OrthancPluginService_SetGlobalProperty: set_property(params); break;
    case _OrthancPluginService_CallRestApi: return call_rest(params);
    case _OrthancPluginService_AnswerBuffer:
        set_output(a->output, 200, a->answer, a->answerSize);
        break;
    case _OrthancPluginService_SetHttpErrorDetails:
        set_output(e->output, 500, e->details, strlen(e->details));
        break;
    case _OrthancPluginService_SendHttpStatus:
        set_output(h->output, h->status, h->body, h->bodySize);
        break;
    default: break;
    }
    return OrthancPluginErrorCode_Success;
}

/* ---- what the server does ---- */

static long seen(void)
{
    long n;
    pthread_mutex_lock(&server.lock);
    n = server.seen;
    pthread_mutex_unlock(&server.lock);
    return n;
}

static void tell(OrthancPluginChangeType type)
{
    CHECK(server.on_change(type, OrthancPluginResourceType_Study, "a") ==
          OrthancPluginErrorCode_Success);
}

static void *make_changes(void *user)
{
    (void)user;
    for (int i = 0; i < CHANGES; i++) {
        pthread_mutex_lock(&server.lock);
        server.changes++;
        pthread_mutex_unlock(&server.lock);
        tell(OrthancPluginChangeType_NewStudy);
    }
    return NULL;
}

/* Calls a route. groups: what its regular expression has matched. Returns the status of HTTP. */
static int call(const char *route, OrthancPluginHttpMethod method, const char *const *groups,
                const char *body, output *out)
{
    OrthancPluginHttpRequest q = {
        .method = method, .groups = groups, .body = body, .bodySize = (uint32_t)strlen(body)
    };
    OrthancPluginErrorCode code = OrthancPluginErrorCode_UnknownResource;
    out->status = 0;
    for (size_t i = 0; i < server.count; i++)
        if (strncmp(server.routes[i].pathRegularExpression, route, strlen(route)) == 0) {
            code = server.routes[i].callback((OrthancPluginRestOutput *)out, route, &q);
            break;
        }
    return code == OrthancPluginErrorCode_Success ? out->status : -(int)code;
}

static void *ask(void *user)
{
    static const char *const log[] = { "follow", "log" }, *const again[] = { "failing", "restart" };
    static const char *const hello[] = { "routes", "/hello" };
    output out;
    (void)user;
    for (int i = 0; i < 20; i++) {
        CHECK(call("/modalua/scripts", OrthancPluginHttpMethod_Get, NULL, "", &out) == 200);
        CHECK(strstr(out.body, "\"Name\":\"follow\""));
        CHECK(call("/modalua/scripts/", OrthancPluginHttpMethod_Get, log, "", &out) == 200);
        CHECK(call("/modalua/scripts/", OrthancPluginHttpMethod_Post, again, "", &out) == 200);
        CHECK(call("/modalua/execute", OrthancPluginHttpMethod_Post, NULL,
                   "return require 'modalua'.connect():system().Name", &out) == 200);
        CHECK(strstr(out.body, "\"Result\":\"harness\""));
        CHECK(call("/modalua/routes/", OrthancPluginHttpMethod_Get, hello, "", &out) == 200);
        CHECK(strstr(out.body, "\"hello\""));
    }
    return NULL;
}

static void wait_until_seen(long n)
{
    while (seen() < n)
        usleep(1000);
}

/* Until the script with the route has begun. */
static void wait_for_route(void)
{
    static const char *const hello[] = { "routes", "/hello" };
    output out;
    while (call("/modalua/routes/", OrthancPluginHttpMethod_Get, hello, "", &out) != 200)
        usleep(1000);
}

/* Until the loop over the changes has begun for the first time. */
static void wait_for_place(void)
{
    bool has_begun = false;
    while (!has_begun) {
        pthread_mutex_lock(&server.lock);
        has_begun = server.place[0] != '\0';
        pthread_mutex_unlock(&server.lock);
        usleep(1000);
    }
}

/* An event that comes while a cancelled loop still has its place goes to the next loop. */
static void check_events(void)
{
    static const char *const cancel[] = { "routes", "/cancel" }, *const next[] = { "routes",
                                                                                   "/next" };
    output out;
    CHECK(call("/modalua/routes/", OrthancPluginHttpMethod_Get, cancel, "", &out) == 200);
    tell(OrthancPluginChangeType_UpdatedPeers);
    tell(OrthancPluginChangeType_UpdatedModalities);
    CHECK(call("/modalua/routes/", OrthancPluginHttpMethod_Get, next, "", &out) == 200);
    CHECK(strcmp(out.body, "UpdatedPeers") == 0);
    CHECK(call("/modalua/routes/", OrthancPluginHttpMethod_Get, next, "", &out) == 200);
    CHECK(strcmp(out.body, "UpdatedModalities") == 0);
}

/* All events of a burst come, in their order, as long as there is room; then the script is told how many were lost. */
static void check_burst(void)
{
    static const char *const burst[] = { "routes", "/burst" };
    char id[20];
    output out;
    for (int i = 1; i <= EVENTS + 2; i++) {
        snprintf(id, sizeof id, "%d", i);
        CHECK(server.on_change(OrthancPluginChangeType_JobSuccess, OrthancPluginResourceType_None,
                               id) == OrthancPluginErrorCode_Success);
    }
    CHECK(call("/modalua/routes/", OrthancPluginHttpMethod_Get, burst, "", &out) == 200);
    CHECK(strcmp(out.body, "all in order") == 0);
}

#define TEXT(x)                              #x
#define VERSION_TEXT(major, minor, revision) TEXT(major) "." TEXT(minor) "." TEXT(revision)

/* It is of the version of the header: an older one does not take the plugin. */
static OrthancPluginContext make_context(void)
{
    return (OrthancPluginContext){ .orthancVersion =
                                       VERSION_TEXT(ORTHANC_PLUGINS_MINIMAL_MAJOR_NUMBER,
                                                    ORTHANC_PLUGINS_MINIMAL_MINOR_NUMBER,
                                                    ORTHANC_PLUGINS_MINIMAL_REVISION_NUMBER),
                                   .Free = free,
                                   .InvokeService = serve };
}

static void run_server(bool with_askers)
{
    OrthancPluginContext context = make_context();
    pthread_t maker, askers[ASKERS];
    server.count = 0;
    CHECK(OrthancPluginInitialize(&context) == 0);
    tell(OrthancPluginChangeType_OrthancStarted);
    wait_for_route();
    wait_for_place();
    check_events();
    check_burst();
    wait_until_seen(server.changes); /* also those that were made while the server was down */
    CHECK(pthread_create(&maker, NULL, make_changes, NULL) == 0);
    for (int i = 0; with_askers && i < ASKERS; i++)
        CHECK(pthread_create(&askers[i], NULL, ask, NULL) == 0);
    CHECK(pthread_join(maker, NULL) == 0);
    for (int i = 0; with_askers && i < ASKERS; i++)
        CHECK(pthread_join(askers[i], NULL) == 0);
    wait_until_seen(server.changes);
    tell(OrthancPluginChangeType_OrthancStopped);
    OrthancPluginFinalize();
}

/* ---- a script that is restarted while its route computes for ever, and its filter fails ---- */

static const char *const loop[] = { "loops", "/loop" }, *const slow[] = { "loops", "/slow" };

/* Each request ends: its time is over, or the script is stopped. Which of them is a race, but the log has each that
 * was too late. */
static void *ask_loops(void *user)
{
    output out;
    bool acts = true;
    (void)user;
    for (int i = 0; acts; i++) {
        int status =
            call("/modalua/routes/", OrthancPluginHttpMethod_Get, i % 2 ? loop : slow, "", &out);
        CHECK(status == 503 || status == 504);
        pthread_mutex_lock(&server.lock);
        server.too_late += status == 504;
        acts = server.acts;
        pthread_cond_signal(&server.has_ended);
        pthread_mutex_unlock(&server.lock);
    }
    return NULL;
}

/* After each start, waits for a request that is too late: the script has computed meanwhile. */
static void *act_on_loops(void *user)
{
    static const char *const acts[][2] = {
        { "loops", "restart" }, { "loops", "stop" }, { "loops", "start" }, { "loops", "reload" }
    };
    output out;
    (void)user;
    for (int i = 0; i < 40; i++) {
        unsigned long before;
        CHECK(call("/modalua/scripts/", OrthancPluginHttpMethod_Post, acts[i % 4], "", &out) ==
              200);
        pthread_mutex_lock(&server.lock);
        before = server.too_late;
        while (i % 4 != 1 && server.too_late == before)
            pthread_cond_wait(&server.has_ended, &server.lock);
        server.acts = i + 1 < 40;
        pthread_mutex_unlock(&server.lock);
    }
    return NULL;
}

/* FilterDefault accepts. */
static void ask_filter(int times)
{
    for (int i = 0; i < times; i++)
        CHECK(server.filter(OrthancPluginHttpMethod_Get, "/x", "::1", 0, NULL, NULL, 0, NULL,
                            NULL) == 1);
}

static void *ask_filter_often(void *user)
{
    (void)user;
    ask_filter(FILTERED);
    return NULL;
}

/* A server with one script. */
static void start_server(OrthancPluginContext *context, const char *folder, const char *name,
                         const char *limits)
{
    snprintf(
        server.configuration, sizeof server.configuration,
        "{\"Modalua\":{%s,\"FilterDefault\":\"accept\",\"Scripts\":{\"%s\":{\"Path\":\"%s/%s.lua\","
        "\"Grace\":0.01,\"Filters\":[\"IncomingHttpRequest\"]}}}}",
        limits, name, folder, name);
    server.count = 0;
    log_forget();
    CHECK(OrthancPluginInitialize(context) == 0);
    tell(OrthancPluginChangeType_OrthancStarted);
}

static void stop_server(void)
{
    tell(OrthancPluginChangeType_OrthancStopped);
    OrthancPluginFinalize();
}

static void run_loops(const char *folder)
{
    static void *(*const asked[])(void *) = { ask_loops, ask_loops, act_on_loops,
                                              ask_filter_often };
    static const char *const stop[] = { "loops", "stop" };
    enum { COUNT = sizeof asked / sizeof asked[0] };
    OrthancPluginContext context = make_context();
    pthread_t threads[COUNT];
    output out;
    start_server(&context, folder, "loops", "\"RouteTimeLimit\":0.05,\"FilterTimeLimit\":0.05");
    while (call("/modalua/routes/", OrthancPluginHttpMethod_Get, slow, "", &out) != 504)
        usleep(1000);
    server.too_late = 1;
    server.acts = true;
    for (int i = 0; i < COUNT; i++)
        CHECK(pthread_create(&threads[i], NULL, asked[i], NULL) == 0);
    for (int i = 0; i < COUNT; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(call("/modalua/scripts/", OrthancPluginHttpMethod_Post, stop, "", &out) == 200);
    CHECK(call("/modalua/routes/", OrthancPluginHttpMethod_Get, slow, "", &out) == 503);
    stop_server();
    CHECK(log_get(FILTER_FAILS).number == FILTERED);
    CHECK(log_get(FILTER_FAILS).lines < FILTERED / 2);
    CHECK(log_get(ROUTE_LATE).number == server.too_late);
}

/* ---- the log of what fails again and again ---- */

static const char *const route_a[] = { "fails", "/a" }, *const route_b[] = { "fails", "/b" };
static const char *const no_memory[] = { "fails", "/memory" };

/* How the plugin asks for status 500. */
enum { FAILED = -OrthancPluginErrorCode_Plugin };

static void wait_for_lines(int i, unsigned long number)
{
    while (log_get(i).number < number)
        usleep(1000);
    CHECK(log_get(i).number == number);
}

/* The log has each failure with its own text at once. What is only counted comes later: when the script ends, while it
 * is stopped, and when the server stops. */
static void run_failures(const char *folder)
{
    static const char *const stop[] = { "fails", "stop" };
    OrthancPluginContext context = make_context();
    output out;
    start_server(&context, folder, "fails", "\"RouteTimeLimit\":60");
    while (call("/modalua/routes/", OrthancPluginHttpMethod_Get, route_a, "", &out) != FAILED)
        usleep(1000);
    CHECK(call("/modalua/routes/", OrthancPluginHttpMethod_Get, route_b, "", &out) == FAILED);
    CHECK(log_get(ROUTE_A).lines == 1 && log_get(ROUTE_B).lines == 1);
    CHECK(call("/modalua/routes/", OrthancPluginHttpMethod_Get, no_memory, "", &out) == FAILED);
    CHECK(strstr(out.body, "not enough memory"));
    for (int i = 0; i < 5; i++)
        CHECK(call("/modalua/routes/", OrthancPluginHttpMethod_Get, route_a, "", &out) == FAILED);
    CHECK(call("/modalua/scripts/", OrthancPluginHttpMethod_Post, stop, "", &out) == 200);
    wait_for_lines(ROUTE_A, 6);
    while (strstr(out.body, "\"State\":\"stopped\"") == NULL)
        CHECK(call("/modalua/scripts", OrthancPluginHttpMethod_Get, NULL, "", &out) == 200);
    CHECK(log_get(REQUEST).number == REFUSED && log_get(REQUEST).lines <= 12);
    ask_filter(3);
    wait_for_lines(FILTER_FAILS, 3);
    ask_filter(4);
    stop_server();
    CHECK(log_get(FILTER_FAILS).number == 7);
    CHECK(log_get(FILTER_FAILS).lines <= 5);
}

/* No script decides a filter, as the file is not there. */
static void run_nothing(void)
{
    OrthancPluginContext context = make_context();
    start_server(&context, "/nowhere", "fails", "\"RouteTimeLimit\":60");
    ask_filter(3);
    stop_server();
    CHECK(log_get(FILTER_UNKNOWN).number == 3);
}

/* ---- the scripts ---- */

static void write_script(const char *folder, const char *name, const char *source)
{
    char path[300];
    FILE *f;
    snprintf(path, sizeof path, "%s/%s.lua", folder, name);
    f = fopen(path, "w");
    CHECK(f && fputs(source, f) >= 0 && fclose(f) == 0);
}

/* The script checks that the Seqs have no gap. */
static const char follow_source[] =
    "local orthanc, last = require 'modalua'.connect()\n"
    "for change in orthanc:changes { follow = true, interval = 1000 } do\n"
    "  assert(not last or change.Seq == last + 1)\n"
    "  last = change.Seq\n"
    "  assert(orthanc:post('/seen/' .. last, {}))\n"
    "end\n";

static const char routes_source[] =
    "local host, task = require 'modalua'.host, require 'modalua.task'\n"
    "host.route('/hello', function() return { hello = true } end)\n"
    "host.route('/cancel', function()\n"
    "  local waits = task.spawn(host.events())\n"
    "  task.sleep(0)\n"
    "  waits:cancel()\n"
    "  return 'cancelled'\n"
    "end)\n"
    "host.route('/next', function() return host.events()().Type end)\n"
    "host.route('/burst', function()\n"
    "  local next_event = host.events()\n"
    "  for i = 1, 10000 do\n"
    "    local event = next_event()\n"
    "    assert(event.Type == 'JobSuccess' and event.ID == tostring(i))\n"
    "  end\n"
    "  local event = next_event()\n"
    "  assert(event.Type == 'Lost' and event.ID == '2')\n"
    "  return 'all in order'\n"
    "end)\n";

static const char loops_source[] =
    "local host, task = require 'modalua'.host, require 'modalua.task'\n"
    "host.route('/loop', function() while true do pcall(function() while true do end end) end "
    "end)\n"
    "host.route('/slow', function() task.sleep(1000) end)\n"
    "host.filter('IncomingHttpRequest', function() error({}) end)\n";

static const char fails_source[] =
    "local modalua = require 'modalua'\n"
    "local host, orthanc = modalua.host, modalua.connect()\n"
    "for _ = 1, 30 do orthanc:get '/nope' end\n"
    "host.route('/a', function() error('a fails', 0) end)\n"
    "host.route('/b', function() error('b fails', 0) end)\n"
    "host.route('/memory', function() error('cannot be copied', 0) end)\n"
    "host.filter('IncomingHttpRequest', function() error({}) end)\n";

int main(void)
{
    static const char *const names[] = {
        "follow", "failing", "looping", "routes", "loops", "fails"
    };
    char folder[] = "/tmp/plugin_host-XXXXXX", path[300];
    CHECK(mkdtemp(folder));
    write_script(folder, "follow", follow_source);
    write_script(folder, "failing", "error 'fails'");
    write_script(folder, "looping", "while true do end");
    write_script(folder, "routes", routes_source);
    write_script(folder, "loops", loops_source);
    write_script(folder, "fails", fails_source);
    snprintf(server.configuration, sizeof server.configuration,
             "{\"Name\":\"x\",\"Modalua\":{\"AllowExecute\":true,\"RouteTimeLimit\":600,"
             "\"Scripts\":{\"follow\":\"%s/"
             "follow.lua\",\"failing\":\"%s/failing.lua\","
             "\"looping\":{\"Path\":\"%s/looping.lua\",\"BurstLimit\":0.05},\"routes\":\"%s/"
             "routes.lua\","
             "\"bad\":{\"Path\":\"nowhere\",\"Evry\":1}}}}",
             folder, folder, folder, folder);
    run_server(true);
    CHECK(strstr(server.place, "follow/="));
    server.changes += 10; /* while it was down */
    run_server(false);
    run_loops(folder);
    run_failures(folder);
    run_nothing();
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s.lua", folder, names[i]);
        CHECK(remove(path) == 0);
    }
    CHECK(rmdir(folder) == 0);
    return 0;
}
