/* streams.c - downloads into a sink of the host, and uploads from a source, without a disk. The argument is
 * the URL of the fault server. */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>

#include "runs.h"

/* ---- a viewer that keeps an image in memory ---- */

typedef struct viewer {
    struct viewer *next;
    char *data;
    size_t size, room;
    size_t full; /* it takes no more than that; 0 = no limit */
    int ends, complete;
    bool destroyed;
    modalua_runtime *cancels; /* at the first piece */
    long read, announces;     /* of a source; a negative one is the error */
    int restarts, fails_at;
} viewer;

static int viewer_write(void *object, const void *data, size_t size)
{
    viewer *v = object;
    CHECK(size > 0 && !v->destroyed && v->ends == 0);
    if (v->full > 0 && v->size + size > v->full)
        return ENOSPC;
    if (v->size + size > v->room) {
        v->room = 2 * (v->size + size);
        v->data = realloc(v->data, v->room);
        CHECK(v->data);
    }
    memcpy(v->data + v->size, data, size);
    v->size += size;
    if (v->cancels)
        modalua_cancel(v->cancels);
    return 0;
}

static void viewer_end(void *object, int complete)
{
    viewer *v = object;
    CHECK(!v->destroyed);
    v->ends++;
    v->complete = complete;
}

static long viewer_size(void *object)
{
    const viewer *v = object;
    return v->announces ? v->announces : (long)v->size;
}

static long viewer_read(void *object, void *into, size_t size, long offset)
{
    viewer *v = object;
    long left = (long)v->size - offset;
    CHECK(!v->destroyed && left >= 0);
    if (offset == 0 && v->read > 0)
        v->restarts++;
    else
        CHECK(offset == v->read);
    if (v->fails_at && offset >= v->fails_at)
        return -EIO;
    if (left > 1000)
        left = 1000;
    if (left > (long)size)
        left = (long)size;
    memcpy(into, v->data + offset, (size_t)left);
    v->read = offset + left;
    return left;
}

static void viewer_destroy(void *object)
{
    viewer *v = object;
    CHECK(!v->destroyed);
    v->destroyed = true;
}

static const modalua_stream_class viewer_class = { { sizeof viewer_class, "viewer.Image", NULL,
                                                     viewer_destroy },
                                                   viewer_write,
                                                   viewer_end,
                                                   viewer_size,
                                                   viewer_read };
static const modalua_stream_class sink_class = {
    { sizeof sink_class, "viewer.Sink", NULL, NULL }, viewer_write, NULL, NULL, NULL
};
static const modalua_class plain_class = { sizeof plain_class, "viewer.Study", NULL, NULL };

static viewer *v; /* the last one; the others of the runtime are behind it */

/* A new viewer becomes the global `image`. */
static void show(modalua_runtime *rt)
{
    viewer *made = calloc(1, sizeof *made);
    CHECK(made);
    made->next = v;
    v = made;
    CHECK(modalua_set_object(rt, "image", &viewer_class.base, v) == MODALUA_OK);
}

/* After the runtime, no viewer is left. */
static void drop(modalua_runtime *rt)
{
    modalua_destroy(rt);
    while (v) {
        viewer *next = v->next;
        CHECK(v->destroyed);
        free(v->data);
        free(v);
        v = next;
    }
}

static const char begin[] =
    "modalua, task = require 'modalua', require 'modalua.task'\n"
    "client = modalua.connect(nil, { retries = 2, timeout = 20 })\n"
    "function map(path, to, times)\n"
    "  assert(client:get('/map', { path = path, to = to, times = times }))\n"
    "end\n"
    "function fails(kind, code, text, f, ...)\n"
    "  local good, err = f(...)\n"
    "  assert(not good and err.kind == kind and err.code == code, err)\n"
    "  assert(tostring(err):find(text, 1, true), err)\n"
    "end\n";

static modalua_runtime *with_viewer(const char *url, unsigned flags)
{
    modalua_config config = watched();
    modalua_runtime *rt;
    config.url = url;
    config.flags = flags;
    rt = make(&config);
    pass(rt, begin);
    show(rt);
    return rt;
}

/* ---- downloads ---- */

static void test_download(const char *url, unsigned flags)
{
    modalua_runtime *rt = with_viewer(url, flags);
    pass(rt, "assert(client:download('/big?bytes=3000000', image) == 3000000)");
    CHECK(v->size == 3000000 && v->ends == 1 && v->complete == 1);
    show(rt); /* a failure before the first byte is tried again, and the sink does not see it */
    pass(rt, "client:get('/map', { path = '/later' })\n"
             "map('/later', '/status?code=503&body=busy', 1) map('/later', '/big?bytes=70000')\n"
             "assert(client:download('/later', image) == 70000)");
    CHECK(v->size == 70000 && v->ends == 1 && v->complete == 1 && v->data[0] != 'b');
    show(rt);
    pass(rt, "fails('http', nil, '404', client.download, client, '/status?code=404&body=no', "
             "image)");
    CHECK(v->size == 0 && v->ends == 1 && v->complete == 0);
    drop(rt);
}

/* It never looks whole, and no byte comes twice. */
static void test_cut(const char *url)
{
    modalua_runtime *rt = with_viewer(url, 0);
    pass(rt, "fails('network', 'connection_lost', '', client.download, client, "
             "'/short?say=1000&send=500', image)\n"
             "assert(client:get '/count?of=/short' == 1)");
    CHECK(v->size == 500 && v->ends == 1 && v->complete == 0);
    show(rt);
    pass(rt, "map('/studies/*', '/status?code=200&type=application/zip&body=PK%03%04cut')\n"
             "fails('network', 'connection_lost', '', client.download, client, "
             "'/studies/1/archive', image)");
    CHECK(v->size == 7 && v->ends == 1 && v->complete == 0);
    show(rt);
    pass(rt, "map('/series/*', '/status?code=200&type=application/zip&body=no%20archive')\n"
             "fails('decode', nil, 'no ZIP archive', client.download, client, '/series/1/archive', "
             "image)");
    CHECK(v->ends == 1 && v->complete == 0);
    show(rt);
    pass(rt, "map('/instances/*', '/status?code=200&type=application/dicom&body=no%20image')\n"
             "fails('decode', nil, 'no DICOM file', client.download, client, '/instances/1/file', "
             "image)");
    CHECK(v->ends == 1 && v->complete == 0);
    show(rt);
    v->full = 100000;
    pass(rt, "fails('refused', 'file', \"'viewer.Image': the stream cannot be written: No space\", "
             "client.download, client, '/big?bytes=3000000', image)");
    CHECK(v->size <= 100000 && v->ends == 1 && v->complete == 0);
    drop(rt);
}

static void test_ended(const char *url)
{
    modalua_runtime *rt = with_viewer(url, 0);
    v->cancels = rt;
    CHECK(run(rt, "client:download('/drip?bytes=1000&s=0.01', image)") == MODALUA_E_CANCELLED);
    CHECK(v->size > 0 && v->size < 1000 && v->ends == 1 && v->complete == 0 && !v->destroyed);
    show(rt);
    CHECK(start(rt, "client:download('/drip?bytes=1000&s=0.01', image)") == MODALUA_OK);
    while (v->size == 0)
        CHECK(modalua_step(rt, -1) == MODALUA_WORKING);
    modalua_destroy(rt);
    CHECK(v->ends == 1 && v->complete == 0 && v->destroyed);
    drop(NULL);
}

static void test_use(const char *url)
{
    modalua_runtime *rt = with_viewer(url, 0);
    pass(rt, "local first = task.spawn(client.download, client, '/drip?bytes=5&s=0.01', image)\n"
             "task.sleep(0)\n"
             "local good, err = pcall(client.download, client, '/big?bytes=5', image)\n"
             "assert(not good and tostring(err):find 'another operation uses', err)\n"
             "assert(first:join() == 5)");
    CHECK(v->size == 5 && v->ends == 1 && v->complete == 1);
    v->ends = 0;
    pass(rt, "assert(client:download('/big?bytes=7', image) == 7)"); /* again */
    CHECK(v->size == 12 && v->complete == 1);
    v->ends = 0;
    pass(rt, "local first\n"
             "do\n"
             "  local open <close> = image\n"
             "  first = task.spawn(client.download, client, '/drip?bytes=5&s=0.01', image)\n"
             "  task.sleep(0)\n"
             "end\n"
             "assert(tostring(image) == 'viewer.Image (closed)')\n"
             "assert(first:join() == 5)");
    CHECK(v->size == 17 && v->complete == 1 && v->destroyed);
    CHECK(modalua_set_object(rt, "study", &plain_class, rt) == MODALUA_OK);
    CHECK(modalua_set_object(rt, "sink", &sink_class.base, rt) == MODALUA_OK);
    pass(rt, "local function throws(text, f, ...)\n"
             "  local good, err = pcall(f, client, ...)\n"
             "  assert(not good and tostring(err):find(text, 1, true), err)\n"
             "end\n"
             "throws('viewer.Image is closed', client.download, '/ok', image)\n"
             "throws('an object of viewer.Study is no sink', client.download, '/ok', study)\n"
             "throws('an object of viewer.Sink is no source', client.upload, sink)\n"
             "throws('name of a file', client.download, '/ok', {})");
    drop(rt);
}

/* ---- uploads ---- */

static void fill(size_t size)
{
    v->data = malloc(size);
    CHECK(v->data);
    v->size = v->room = size;
    for (size_t i = 0; i < size; i++)
        v->data[i] = (char)(i * 7 % 256);
}

static void test_upload(const char *url, unsigned flags)
{
    modalua_runtime *rt = with_viewer(url, flags);
    fill(500000);
    pass(rt, "for _, path in ipairs { '/instances', '/modalities/*' } do client:get('/map', { path "
             "= path }) end\n"
             "map('/instances', '/status?code=500&type=application/json&body="
             "{\"HttpStatus\":500,\"OrthancStatus\":2001}', 1)\n" /* a race, which is tried again */
             "map('/instances', '/status?code=200&type=application/json&body="
             "{\"ID\":\"01234567-01234567-01234567-01234567-01234567\",\"Status\":\"Success\"}')\n"
             "assert(client:upload(image).Status == 'Success')");
    CHECK(v->read == 500000 && v->restarts == 1 && v->ends == 1 && v->complete == 1);
    show(rt);
    fill(5000);
    pass(rt, "map('/modalities/*', '/status?code=200&type=application/json&body="
             "{\"SOPClassUID\":\"1.2\",\"SOPInstanceUID\":\"1.3\"}')\n"
             "assert(client:modality('pacs'):store_straight(image).SOPInstanceUID == '1.3')");
    CHECK(v->read == 5000 && v->ends == 1 && v->complete == 1);
    show(rt);
    fill(5000);
    v->fails_at = 2000;
    pass(rt, "fails('refused', 'file', \"'viewer.Image': the stream cannot be read: Input\", "
             "client.upload, client, image)");
    CHECK(v->ends == 1 && v->complete == 0);
    show(rt);
    fill(5000);
    v->announces = 6000;
    pass(rt, "fails('refused', 'file', 'became shorter', client.upload, client, image)");
    CHECK(v->ends == 1 && v->complete == 0);
    show(rt);
    v->announces = -EACCES;
    pass(rt, "fails('refused', 'file', 'Permission denied', client.upload, client, image)");
    CHECK(v->ends == 1 && v->complete == 0);
    drop(rt);
}

/* ---- with a transport of the host ---- */

typedef struct transport {
    char path[64];
    modalua_response *held;
    const char *body; /* what is sent to the server, which the transport compares */
} transport;

static void hold(void *user, const modalua_request *q, modalua_response *r)
{
    transport *t = user;
    const char *path = strrchr(q->url, '/');
    char piece[333];
    long n, all = 0;
    CHECK(!t->held && path && strlen(path) < sizeof t->path);
    strcpy(t->path, path);
    t->held = r;
    while (t->body && (n = modalua_response_read(r, piece, sizeof piece)) > 0) {
        CHECK(memcmp(piece, t->body + all, (size_t)n) == 0);
        all += n;
    }
    CHECK(!t->body || all == q->file_size);
}

/* Steps until the transport has a request. */
static modalua_response *held(modalua_runtime *rt, transport *t)
{
    modalua_response *r;
    while (!t->held)
        CHECK(modalua_step(rt, 10) == MODALUA_WORKING);
    r = t->held;
    t->held = NULL;
    return r;
}

typedef struct answer {
    modalua_response *response;
    const char *type, *data;
    size_t size;
} answer;

/* Sends the answer in pieces, on a thread of its own. */
static void *give(void *user)
{
    const answer *a = user;
    const char *headers[] = { a->type, NULL };
    CHECK(modalua_response_head(a->response, 200, headers) == MODALUA_OK);
    for (size_t at = 0, n = 1; at < a->size; at += n, n = n * 3 % 10007 + 1) {
        if (n > a->size - at)
            n = a->size - at;
        CHECK(modalua_response_write(a->response, a->data + at, n) == MODALUA_OK);
    }
    CHECK(modalua_response_write(a->response, NULL, 0) == MODALUA_OK);
    CHECK(modalua_response_end(a->response) == MODALUA_OK);
    return NULL;
}

static void download_from(modalua_runtime *rt, transport *t, const char *code, answer a,
                          int complete)
{
    pthread_t thread;
    show(rt);
    CHECK(start(rt, code) == MODALUA_OK);
    a.response = held(rt, t);
    CHECK(pthread_create(&thread, NULL, give, &a) == 0);
    if (finish(rt) != MODALUA_OK)
        CHECK(!modalua_last_error(rt));
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(v->size == a.size && memcmp(v->data, a.data, a.size) == 0);
    CHECK(v->ends == 1 && v->complete == complete);
}

static void test_transport(void)
{
    enum { SIZE = 200000, END = 22 };
    static const char archive[] = "assert(client:download('/studies/1/archive', image) == 200000)";
    static const char file[] = "assert(client:download('/instances/1/file', image) == 200000)";
    static const char no_end[] = "local _, e = client:download('/studies/1/archive', image)\n"
                                 "assert(e.code == 'connection_lost', e)";
    char *data = malloc(SIZE);
    answer a = { NULL, "Content-Type: application/zip", data, SIZE };
    modalua_config config = watched();
    transport t = { .held = NULL };
    modalua_runtime *rt;
    CHECK(data);
    config.user = &t;
    config.transport = hold;
    rt = make(&config);
    pass(rt, begin);
    for (size_t i = 0; i < SIZE; i++)
        data[i] = (char)(i * 31 % 251);
    memcpy(data, "PK\3\4", 4);
    download_from(rt, &t, no_end, a, 0);
    memset(data + SIZE - END, 0, END);
    memcpy(data + SIZE - END, "PK\5\6", 4);
    download_from(rt, &t, archive, a, 1);
    memcpy(data + 128, "DICM", 4);
    a.type = "Content-Type: application/dicom";
    download_from(rt, &t, file, a, 1);
    show(rt);
    fill(100000);
    t.body = v->data;
    CHECK(start(rt, "assert(client:upload(image).Status == 'Success')") == MODALUA_OK);
    a.response = held(rt, &t);
    a.type = "Content-Type: application/json";
    a.data = "{\"ID\":\"01234567-01234567-01234567-01234567-01234567\",\"Status\":\"Success\"}";
    a.size = strlen(a.data);
    give(&a);
    CHECK(finish(rt) == MODALUA_OK && v->read == 100000 && v->complete == 1);
    free(data);
    drop(rt);
}

/* The first try has timed out, and is answered while the second one is under way: its bytes do not come. */
static void test_late(void)
{
    modalua_config config = watched();
    transport t = { .held = NULL };
    modalua_response *first, *second;
    modalua_runtime *rt;
    config.user = &t;
    config.transport = hold;
    rt = make(&config);
    pass(rt, begin);
    show(rt);
    CHECK(start(rt, "assert(client:download('/any', image) == 3)") == MODALUA_OK);
    first = held(rt, &t);
    CHECK(modalua_response_fail(first, MODALUA_BROKEN, "") == MODALUA_OK);
    second = held(rt, &t);
    CHECK(modalua_response_head(second, 200, NULL) == MODALUA_OK);
    CHECK(modalua_response_write(second, "abc", 3) == MODALUA_OK);
    CHECK(modalua_response_end(second) == MODALUA_OK);
    CHECK(finish(rt) == MODALUA_OK && v->size == 3 && v->complete == 1);
    show(rt);
    CHECK(start(rt, "local _, e = client:download('/any', image, { wait_timeout = 0.05 })\n"
                    "assert(e.kind == 'timeout', e)") == MODALUA_OK);
    first = held(rt, &t);
    CHECK(modalua_response_head(first, 200, NULL) == MODALUA_OK);
    CHECK(finish(rt) == MODALUA_OK && v->ends == 1 && v->complete == 0);
    CHECK(modalua_response_write(first, "abc", 3) == MODALUA_E_CANCELLED);
    CHECK(modalua_response_end(first) == MODALUA_E_CANCELLED && v->size == 0);
    drop(rt);
}

static void test_wrong_classes(void)
{
    static const modalua_stream_class nothing = {
        { sizeof nothing, "x", NULL, NULL }, NULL, viewer_end, NULL, NULL
    };
    static const modalua_stream_class no_size = {
        { sizeof no_size, "x", NULL, NULL }, NULL, NULL, NULL, viewer_read
    };
    modalua_runtime *rt = make(NULL);
    CHECK(modalua_set_object(rt, "x", &nothing.base, rt) == MODALUA_E_INVALID);
    CHECK(modalua_set_object(rt, "x", &no_size.base, rt) == MODALUA_E_INVALID);
    modalua_destroy(rt);
}

int main(int argc, char **argv)
{
    CHECK(argc == 2);
    test_download(argv[1], 0);
    test_download(argv[1], MODALUA_SANDBOX);
    test_cut(argv[1]);
    test_ended(argv[1]);
    test_use(argv[1]);
    test_upload(argv[1], 0);
    test_upload(argv[1], MODALUA_NO_HOOK);
    test_transport();
    test_late();
    test_wrong_classes();
    return 0;
}
