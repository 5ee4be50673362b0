/* transport.c - a host that sends the HTTP requests of its runtimes itself. No socket is opened. */
#define _GNU_SOURCE

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "runs.h"

/* Instead of that of the C library: libcurl must not be asked for anything. */
int socket(int domain, int type, int protocol)
{
    (void)domain;
    (void)type;
    (void)protocol;
    CHECK(!"a socket");
    errno = EMFILE;
    return -1;
}

/* ---- the transport ---- */

typedef struct transport {
    char seen[4096]; /* the requests: method, URL, headers, body */
    modalua_response *held[8];
    unsigned count; /* of held */
    unsigned requests;
    modalua_runtime *runtime; /* to be cancelled by /cancel */
    bool holds_uploads;
} transport;

/* A date as HTTP writes it, so many seconds from now. */
static void set_retry_after(char *line, size_t room, long seconds)
{
    time_t then = time(NULL) + seconds;
    struct tm parts;
    CHECK(gmtime_r(&then, &parts));
    CHECK(strftime(line, room, "retry-after: %a, %d %b %Y %H:%M:%S GMT", &parts) > 0);
}

static void answer_busy(modalua_response *r, const char *retry_after)
{
    const char *const headers[] = { retry_after, NULL };
    CHECK(modalua_response_head(r, 503, headers) == MODALUA_OK);
    CHECK(modalua_response_end(r) == MODALUA_OK);
}

static const char *const json_type[] = { "content-type: application/json; charset=utf-8", NULL };

static void answer(modalua_response *r, int status, const char *body)
{
    CHECK(modalua_response_head(r, status, json_type) == MODALUA_OK);
    CHECK(modalua_response_head(r, status, json_type) == MODALUA_E_INVALID);
    CHECK(modalua_response_write(r, body, 1) == MODALUA_OK);
    CHECK(modalua_response_write(r, body + 1, strlen(body) - 1) == MODALUA_OK);
    CHECK(modalua_response_end(r) == MODALUA_OK);
}

static void note(transport *t, const char *text)
{
    CHECK(strlen(t->seen) + strlen(text) + 2 < sizeof t->seen);
    strcat(strcat(t->seen, text), "|");
}

static void note_request(transport *t, const modalua_request *q)
{
    t->seen[0] = '\0';
    note(t, q->method);
    note(t, q->url);
    for (const char *const *line = q->headers; *line; line++)
        note(t, *line);
    note(t, q->body ? q->body : "-");
}

/* Whether the URL ends so. */
static bool is_path(const modalua_request *q, const char *path)
{
    size_t whole = strlen(q->url), size = strlen(path);
    return whole >= size && strcmp(q->url + whole - size, path) == 0;
}

static void read_upload(modalua_response *r, const modalua_request *q)
{
    char piece[1000], text[100];
    long all = 0, n;
    while ((n = modalua_response_read(r, piece, sizeof piece)) > 0)
        all += n;
    CHECK(n == 0 && all == q->file_size && !q->body);
    snprintf(text, sizeof text,
             "{\"ID\":\"%08ld-00000000-00000000-00000000-00000000\",\"Status\":\"Success\"}", all);
    answer(r, 200, text);
}

static void send_request(void *user, const modalua_request *q, modalua_response *r)
{
    transport *t = user;
    char line[100];
    t->requests++;
    note_request(t, q);
    if (is_path(q, "/now")) {
        answer(r, 200, "{\"a\":[1,2]}");
    } else if (is_path(q, "/missing")) {
        answer(r, 404, "{\"Message\":\"no\"}");
    } else if (is_path(q, "/busy")) {
        answer_busy(r, "Retry-After: 7");
    } else if (is_path(q, "/busy-until")) {
        set_retry_after(line, sizeof line, 24L * 60 * 60);
        answer_busy(r, line);
    } else if (is_path(q, "/was-busy")) {
        set_retry_after(line, sizeof line, -60);
        answer_busy(r, line);
    } else if (is_path(q, "/busy-anyhow")) {
        answer_busy(r, "Retry-After: soon");
    } else if (is_path(q, "/broken")) {
        CHECK(modalua_response_fail(r, MODALUA_BROKEN, "the cable is out") == MODALUA_OK);
    } else if (is_path(q, "/unreachable")) {
        CHECK(modalua_response_fail(r, MODALUA_NOT_SENT, "no route") == MODALUA_OK);
    } else if (is_path(q, "/instances") && q->file_size > 0 && !t->holds_uploads) {
        read_upload(r, q);
    } else {
        CHECK(t->count < 8);
        t->held[t->count++] = r;
        if (is_path(q, "/cancel"))
            modalua_cancel(t->runtime);
    }
}

static modalua_runtime *make_with(transport *t)
{
    modalua_config config = watched();
    memset(t, 0, sizeof *t);
    config.url = "http://server.example:80/orthanc";
    config.username = "alice";
    config.password = "sesame!";
    config.user = t;
    config.transport = send_request;
    t->runtime = make(&config);
    pass(t->runtime, "modalua, task = require 'modalua', require 'modalua.task'\n"
                     "client = modalua.connect(nil, { retries = 0, headers = { ['X-A'] = 'b' } })");
    return t->runtime;
}

/* ---- answers at once ---- */

static void at_once(void)
{
    transport t;
    modalua_statistics stats = { .struct_size = sizeof stats };
    modalua_runtime *rt = make_with(&t);
    pass(rt, "assert(client:get('/now').a[2] == 2)");
    CHECK(strcmp(t.seen, "GET|http://server.example:80/orthanc/now|X-A: b|"
                         "Authorization: Basic YWxpY2U6c2VzYW1lIQ==|-|") == 0);
    pass(rt, "assert(client:post('/now', { x = 1 }).a[1] == 1)");
    CHECK(strstr(t.seen, "POST|") && strstr(t.seen, "|Content-Type: application/json|") &&
          strstr(t.seen, "|{\"x\":1}|"));
    pass(rt, "local _, e = client:get '/missing' assert(e.kind == 'http' and e.status == 404, e)\n"
             "_, e = client:get '/broken'\n"
             "assert(e.kind == 'network' and e.code == 'connection_lost', e)\n"
             "assert(tostring(e):find 'the cable is out', e)\n"
             "_, e = client:post('/broken', {}) assert(e.kind == 'unknown', e)\n"
             "_, e = client:get '/unreachable'\n"
             "assert(e.kind == 'network' and e.code == 'no_connection', e)");
    CHECK(modalua_stats(rt, &stats) == MODALUA_OK && stats.requests == 6);
    pass(rt, "modalua.connect(nil, { headers = { authorization = 'Own' } }):get '/now'");
    CHECK(strcmp(t.seen, "GET|http://server.example:80/orthanc/now|authorization: Own|-|") == 0);
    CHECK(stats.bytes_sent == 9 && stats.bytes_received == 38); /* {"x":1} and {}; the answers */
    t.requests = 0;
    pass(rt, "local c = modalua.connect('http://other.example', { retries = 2 })\n"
             "local _, e = c:get '/unreachable' assert(e.kind == 'network')");
    CHECK(t.requests == 3);
    modalua_destroy(rt);
}

/* Seconds, or a date. */
static void busy(void)
{
    transport t;
    modalua_runtime *rt = make_with(&t);
    pass(rt, "local function seconds(path) return select(2, client:get(path)).retry_after end\n"
             "assert(seconds '/busy' == 7)\n"
             "local day = seconds '/busy-until'\n"
             "assert(day > 80000 and day <= 86400, day)\n"
             "assert(not seconds '/was-busy' and not seconds '/busy-anyhow')");
    modalua_destroy(rt);
}

/* ---- mistakes of the host ----
 *
 * None of them leaves a request that waits, or a response that is never freed, whatever the host makes of the
 * status; and an answer from which a piece is missing is no success. */

enum { NULL_MESSAGE, UNKNOWN_FAILURE, NO_HEAD, BAD_HEAD, EARLY_PIECE, NULL_PIECE, MISTAKES };

static void make_mistake(void *user, const modalua_request *q, modalua_response *r)
{
    (void)q;
    switch (*(int *)user) {
    case NULL_MESSAGE:
        CHECK(modalua_response_fail(r, MODALUA_NOT_SENT, NULL) == MODALUA_OK);
        return;
    case UNKNOWN_FAILURE: CHECK(modalua_response_fail(r, 9, "what") == MODALUA_OK); return;
    case NO_HEAD: CHECK(modalua_response_end(r) == MODALUA_E_INVALID); return;
    case BAD_HEAD:
        CHECK(modalua_response_head(r, 0, json_type) == MODALUA_E_INVALID);
        CHECK(modalua_response_write(r, "{}", 2) == MODALUA_E_INVALID);
        CHECK(modalua_response_end(r) == MODALUA_E_INVALID);
        return;
    case EARLY_PIECE:
        CHECK(modalua_response_write(r, "[1,2,", 5) == MODALUA_E_INVALID);
        CHECK(modalua_response_head(r, 200, json_type) == MODALUA_OK);
        CHECK(modalua_response_write(r, "[3]", 3) == MODALUA_E_INVALID);
        CHECK(modalua_response_end(r) == MODALUA_OK);
        return;
    case NULL_PIECE:
        CHECK(modalua_response_head(r, 200, json_type) == MODALUA_OK);
        CHECK(modalua_response_write(r, "[3]", 3) == MODALUA_OK);
        CHECK(modalua_response_write(r, NULL, 1) == MODALUA_E_INVALID);
        CHECK(modalua_response_end(r) == MODALUA_OK);
        return;
    default: CHECK(!"a mistake"); return;
    }
}

static void mistakes(void)
{
    static const char *const said[MISTAKES] = {
        [NULL_MESSAGE] = "the host's transport has failed",
        [UNKNOWN_FAILURE] = "what",
        [NO_HEAD] = "has ended the response without a head",
        [BAD_HEAD] = "has written before the head",
        [EARLY_PIECE] = "has written before the head",
        [NULL_PIECE] = "has written a piece without data",
    };
    int mistake;
    modalua_config config = watched();
    modalua_runtime *rt;
    config.user = &mistake;
    config.transport = make_mistake;
    rt = make(&config);
    for (mistake = 0; mistake < MISTAKES; mistake++) {
        char code[300];
        snprintf(code, sizeof code,
                 "local _, e = require 'modalua'.connect(nil, { retries = 0 }):get '/x'\n"
                 "assert(e.kind == 'network' and e.code == '%s', e)\n"
                 "assert(tostring(e):find(\"%s\", 1, true), e)",
                 mistake == NULL_MESSAGE ? "no_connection" : "connection_lost", said[mistake]);
        pass(rt, code);
    }
    modalua_destroy(rt);
}

/* ---- answers from another thread ---- */

static void *answer_later(void *user)
{
    transport *t = user;
    for (unsigned i = t->count; i-- > 0;)
        answer(t->held[i], 200, "{\"late\":true}");
    return NULL;
}

static void later(void)
{
    transport t;
    pthread_t thread;
    modalua_runtime *rt = make_with(&t);
    CHECK(
        start(
            rt,
            "local r = task.map({ 1, 2, 3 }, function(i) return assert(client:get('/' .. i)) end)\n"
            "assert(#r == 3 and r[1].late and r[3].late)") == MODALUA_OK);
    while (t.count < 3)
        CHECK(modalua_step(rt, 0) == MODALUA_WORKING);
    CHECK(pthread_create(&thread, NULL, answer_later, &t) == 0);
    CHECK(finish(rt) == MODALUA_OK);
    CHECK(pthread_join(thread, NULL) == 0);
    modalua_destroy(rt);
}

/* ---- bodies in pieces, each response on a thread of its own ---- */

enum { AT_ONCE = 6, PIECES = 200, FILE_SIZE = 50000 };

typedef struct sender {
    pthread_t thread;
    modalua_response *response;
    bool reads; /* the request has a body that is a file */
    int status; /* of the end */
} sender;

/* An array of PIECES numbers; for an upload the answer to it. */
static void *send_pieces(void *user)
{
    static const char stored[] =
        "{\"ID\":\"01234567-01234567-01234567-01234567-01234567\",\"Status\":\"Success\"}";
    sender *s = user;
    char piece[100];
    long all = 0, n = 0;
    while (s->reads && (n = modalua_response_read(s->response, piece, sizeof piece)) > 0)
        all += n;
    CHECK(!s->reads || all == FILE_SIZE || n == MODALUA_E_CANCELLED);
    modalua_response_head(s->response, 200, json_type);
    if (s->reads)
        modalua_response_write(s->response, stored, sizeof stored - 1);
    for (int i = 0; !s->reads && i < PIECES; i++) {
        n = snprintf(piece, sizeof piece, "%c%d%s", i == 0 ? '[' : ',', i,
                     i + 1 == PIECES ? "]" : "");
        modalua_response_write(s->response, piece, (size_t)n);
    }
    s->status = modalua_response_end(s->response);
    return NULL;
}

/* A transport that gives each response to a thread. */
typedef struct senders {
    sender all[AT_ONCE];
    int count;
} senders;

static void give_to_thread(void *user, const modalua_request *q, modalua_response *r)
{
    senders *list = user;
    sender *s = &list->all[list->count++];
    CHECK(list->count <= AT_ONCE);
    s->response = r;
    s->reads = q->file_size > 0;
    CHECK(pthread_create(&s->thread, NULL, send_pieces, s) == 0);
}

static void join_senders(senders *list)
{
    for (int i = 0; i < list->count; i++)
        CHECK(pthread_join(list->all[i].thread, NULL) == 0);
}

static modalua_runtime *make_threaded(senders *list, const char *path)
{
    static const char code[] =
        "task, client = require 'modalua.task', require 'modalua'.connect()\n"
        "path = '%s'\n"
        "do local f <close> = assert(io.open(path, 'w')) f:write(('x'):rep(%d)) end\n"
        "works = {\n"
        "  function() assert(#assert(client:get '/numbers') == %d) end,\n"
        "  function() assert(client:upload(path).Status == 'Success') end,\n"
        "  function() assert(client:download('/numbers', path .. '.down') > 500) end }\n"
        "function all() task.map({ 1, 2, 3, 1, 2, 1 }, function(i) works[i]() end) end\n";
    char text[1000];
    modalua_config config = watched();
    modalua_runtime *rt;
    config.user = list;
    config.transport = give_to_thread;
    rt = make(&config);
    snprintf(text, sizeof text, code, path, FILE_SIZE, PIECES);
    pass(rt, text);
    return rt;
}

/* The second time the runtime is destroyed while the threads write: they are told so, or have been quicker.
 * This is for the sanitizers. */
static void from_threads(const char *path)
{
    senders list = { .count = 0 };
    modalua_runtime *rt = make_threaded(&list, path);
    pass(rt, "all() assert(os.remove(path .. '.down'))");
    join_senders(&list);
    CHECK(list.count == AT_ONCE);
    for (int i = 0; i < AT_ONCE; i++)
        CHECK(list.all[i].status == MODALUA_OK);
    list.count = 0;
    CHECK(start(rt, "all()") == MODALUA_OK);
    while (list.count == 0)
        CHECK(modalua_step(rt, 0) == MODALUA_WORKING);
    modalua_destroy(rt);
    join_senders(&list);
    for (int i = 0; i < list.count; i++)
        CHECK(list.all[i].status == MODALUA_OK || list.all[i].status == MODALUA_E_CANCELLED);
    remove(path);
}

/* ---- responses that are not wanted any more ---- */

static void check_unwanted(modalua_response *r)
{
    CHECK(modalua_response_head(r, 200, NULL) == MODALUA_E_CANCELLED);
    CHECK(modalua_response_end(r) == MODALUA_E_CANCELLED);
}

static void unwanted(void)
{
    transport t;
    modalua_runtime *rt = make_with(&t);
    pass(rt, "local c = modalua.connect(nil, { timeout = 0.02, retries = 0 })\n"
             "local _, e = c:get '/silent' assert(e.kind == 'timeout', e)");
    check_unwanted(t.held[0]);
    CHECK(run(rt, "client:get '/cancel'") == MODALUA_E_CANCELLED);
    check_unwanted(t.held[1]);
    CHECK(start(rt, "client:get '/silent'") == MODALUA_OK);
    CHECK(modalua_step(rt, 0) == MODALUA_WORKING && t.count == 3);
    modalua_destroy(rt);
    check_unwanted(t.held[2]);
}

/* ---- files ---- */

static void files(const char *path)
{
    static const char *const length[] = { "Content-Length: 6", NULL };
    char code[1024], got[16] = "";
    transport t;
    modalua_runtime *rt = make_with(&t);
    FILE *f;
    snprintf(code, sizeof code, "path = '%s'", path);
    pass(rt, code);
    CHECK(start(rt, "assert(client:download('/file', path))") == MODALUA_OK);
    while (t.count < 1)
        CHECK(modalua_step(rt, 0) == MODALUA_WORKING);
    CHECK(modalua_response_head(t.held[0], 200, length) == MODALUA_OK);
    CHECK(modalua_response_write(t.held[0], "abc", 3) == MODALUA_OK);
    CHECK(modalua_step(rt, 0) == MODALUA_WORKING);
    CHECK(modalua_response_write(t.held[0], "def", 3) == MODALUA_OK);
    CHECK(modalua_response_end(t.held[0]) == MODALUA_OK);
    CHECK(finish(rt) == MODALUA_OK);
    f = fopen(path, "r");
    CHECK(f && fread(got, 1, sizeof got - 1, f) == 6 && strcmp(got, "abcdef") == 0 &&
          fclose(f) == 0);
    CHECK(start(rt,
                "local done, e = client:download('/file', path)\n"
                "assert(not done and e.kind == 'network' and e.code == 'connection_lost', e)") ==
          MODALUA_OK);
    while (t.count < 2)
        CHECK(modalua_step(rt, 0) == MODALUA_WORKING);
    CHECK(modalua_response_head(t.held[1], 200, length) == MODALUA_OK);
    CHECK(modalua_response_write(t.held[1], "abc", 3) == MODALUA_OK);
    CHECK(modalua_response_end(t.held[1]) == MODALUA_OK); /* 3 of 6 bytes */
    CHECK(finish(rt) == MODALUA_OK);
    pass(rt, "local f = assert(io.open(path, 'w')) f:write(('x'):rep(5000)) f:close()\n"
             "assert(assert(client:upload(path)).ID:find '^00005000-')");
    modalua_destroy(rt);
    CHECK(remove(path) == 0);
}

/* ---- heads, and files that go wrong ---- */

/* Runs the code until the transport holds one more request. */
static modalua_response *hold_one(transport *t, const char *code)
{
    unsigned before = t->count;
    CHECK(start(t->runtime, code) == MODALUA_OK);
    while (t->count == before)
        CHECK(modalua_step(t->runtime, 0) == MODALUA_WORKING);
    return t->held[before];
}

static void finish_well(const transport *t)
{
    int status = finish(t->runtime);
    if (status != MODALUA_OK)
        fprintf(stderr, "%s\n", modalua_last_error(t->runtime));
    CHECK(status == MODALUA_OK);
}

static void heads(void)
{
    static const char *const moved[] = { "location: http://user:secret@other.example/", NULL };
    static const char *const packed[] = { "Content-Encoding: gzip", "Content-Length: 100", NULL };
    transport t;
    modalua_runtime *rt = make_with(&t);
    modalua_response *r = hold_one(&t, "local _, e = client:get '/away'\n"
                                       "assert(e.kind == 'http' and e.status == 302, e)\n"
                                       "assert(tostring(e):find 'http://…@other.example/', e)");
    CHECK(modalua_response_head(NULL, 200, NULL) == MODALUA_E_INVALID);
    CHECK(modalua_response_head(r, 199, NULL) == MODALUA_E_INVALID);
    CHECK(modalua_response_head(r, 1000, NULL) == MODALUA_E_INVALID);
    CHECK(modalua_response_write(NULL, "x", 1) == MODALUA_E_INVALID);
    CHECK(modalua_response_read(NULL, &t, 1) == MODALUA_E_INVALID);
    CHECK(modalua_response_read(r, NULL, 1) == MODALUA_E_INVALID);
    CHECK(modalua_response_end(NULL) == MODALUA_E_INVALID);
    CHECK(modalua_response_fail(NULL, MODALUA_BROKEN, "x") == MODALUA_E_INVALID);
    CHECK(modalua_response_read(r, NULL, 0) == 0);
    CHECK(modalua_response_head(r, 302, moved) == MODALUA_OK);
    CHECK(modalua_response_end(r) == MODALUA_OK);
    finish_well(&t);
    r = hold_one(&t, "assert(client:get '/packed' == 'abc')"); /* 100 is the size of another form */
    CHECK(modalua_response_head(r, 200, packed) == MODALUA_OK);
    CHECK(modalua_response_write(r, "abc", 3) == MODALUA_OK);
    CHECK(modalua_response_end(r) == MODALUA_OK);
    finish_well(&t);
    pass(rt, "modalua.connect('http://other.example', { token = 't0ken' }):get '/now'");
    CHECK(strstr(t.seen, "|Authorization: Bearer t0ken|"));
    modalua_destroy(rt);
}

static void stalled_download(transport *t)
{
    modalua_response *r =
        hold_one(t, "local c = modalua.connect(nil, { timeout = 0.05, retries = 0 })\n"
                    "local _, e = c:download('/file', path) assert(e.kind == 'timeout', e)\n"
                    "assert(not io.open(path) and not io.open(path .. '.part'))");
    CHECK(modalua_response_head(r, 200, NULL) == MODALUA_OK);
    CHECK(modalua_response_write(r, "abc", 3) == MODALUA_OK);
    finish_well(t);
    CHECK(modalua_response_write(r, "def", 3) == MODALUA_E_CANCELLED);
    CHECK(modalua_response_end(r) == MODALUA_E_CANCELLED);
}

/* The system lets no file of this process grow so large. */
static void download_without_room(transport *t)
{
    static const char piece[2000];
    struct rlimit before, limit;
    modalua_response *r =
        hold_one(t, "local _, e = client:download('/file', path)\n"
                    "assert(e.kind == 'refused' and e.code == 'file', e)\n"
                    "assert(e.message:find 'too large' and not io.open(path .. '.part'), e)");
    CHECK(signal(SIGXFSZ, SIG_IGN) != SIG_ERR && getrlimit(RLIMIT_FSIZE, &before) == 0);
    limit = before;
    limit.rlim_cur = 1000;
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    CHECK(modalua_response_head(r, 200, NULL) == MODALUA_OK);
    CHECK(modalua_response_write(r, piece, sizeof piece) == MODALUA_E_FILE);
    CHECK(modalua_response_write(r, piece, sizeof piece) == MODALUA_E_FILE);
    CHECK(setrlimit(RLIMIT_FSIZE, &before) == 0);
    CHECK(modalua_response_end(r) == MODALUA_OK);
    finish_well(t);
}

static void upload_of_shorter_file(transport *t, const char *path)
{
    char piece[5000];
    modalua_response *r;
    t->holds_uploads = true;
    r = hold_one(t, "do local f <close> = assert(io.open(path, 'w')) f:write(('x'):rep(5000)) end\n"
                    "local _, e = client:upload(path)\n"
                    "assert(e.kind == 'refused' and e.code == 'file', e)\n"
                    "assert(e.message:find 'became shorter', e)");
    CHECK(truncate(path, 100) == 0);
    CHECK(modalua_response_read(r, piece, sizeof piece) == 100);
    CHECK(modalua_response_read(r, piece, sizeof piece) == MODALUA_E_FILE);
    CHECK(modalua_response_head(r, 200, NULL) == MODALUA_OK);
    CHECK(modalua_response_end(r) == MODALUA_OK);
    finish_well(t);
    CHECK(remove(path) == 0);
}

static void bad_files(const char *path)
{
    char code[1024];
    transport t;
    modalua_runtime *rt = make_with(&t);
    snprintf(code, sizeof code, "path = '%s'", path);
    pass(rt, code);
    stalled_download(&t);
    download_without_room(&t);
    upload_of_shorter_file(&t, path);
    modalua_destroy(rt);
}

/* ---- more than the memory limit ---- */

static void too_large(void)
{
    static char piece[100000];
    transport t = { .count = 0 };
    modalua_config config = watched();
    modalua_runtime *rt;
    int status;
    config.memory_limit = 4 * 1000 * 1000;
    config.user = &t;
    config.transport = send_request;
    rt = make(&config);
    CHECK(start(rt,
                "local c = require 'modalua'.connect()\n"
                "local ok, e = pcall(c.get, c, '/large')\n"
                "assert(not ok and e.kind == 'limit' and e.code == 'memory', e)") == MODALUA_OK);
    while (t.count < 1)
        CHECK(modalua_step(rt, 0) == MODALUA_WORKING);
    CHECK(modalua_response_head(t.held[0], 200, NULL) == MODALUA_OK);
    do
        status = modalua_response_write(t.held[0], piece, sizeof piece);
    while (status == MODALUA_OK);
    CHECK(status == MODALUA_E_NOMEM);
    CHECK(modalua_response_end(t.held[0]) == MODALUA_OK);
    status = finish(rt);
    if (status != MODALUA_OK)
        fprintf(stderr, "%s\n", modalua_last_error(rt));
    CHECK(status == MODALUA_OK);
    modalua_destroy(rt);
}

int main(int argc, char **argv)
{
    char path[256];
    CHECK(argc >= 1);
    snprintf(path, sizeof path, "%s.part", argv[0]);
    at_once();
    busy();
    mistakes();
    later();
    unwanted();
    from_threads(path);
    files(path);
    heads();
    bad_files(path);
    too_large();
    return 0;
}
