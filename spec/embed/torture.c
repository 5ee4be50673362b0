/* torture.c - each allocation of a scenario fails once, alone and together with the next two. The
 * runtime must not crash or leak, and the run must succeed or fail with an error about memory. Run it
 * under ASan and LSan. The argument is the URL of the fault server. */
#define _POSIX_C_SOURCE 200809L

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "check.h"
#include "modalua.h"

typedef struct faulty {
    long countdown; /* allocations that succeed before the failures; negative: all succeed */
    long window;    /* consecutive failures */
    long live;      /* blocks that are allocated now */
    long failed;    /* number of failed allocations */
    long asked;     /* number of allocations */
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
        f->asked++;
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

static const char general_scenario[] =
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

/* Makes the fault server play a modality. A runtime without failures runs this script once. */
static const char roles[] =
    "local client = require 'modalua'.connect('%s')\n"
    "local function play(path, body, type)\n"
    "  local to = '/status?code=200&type=' .. (type or 'application/json') .. '&body=' .. body\n"
    "  assert(client:get('/map', {path = path, to = to}))\n"
    "end\n"
    "play('/system', '{\"Version\":\"1.12.7\"}')\n"
    "play('/instances', '{\"ID\":\"ffffffff-ffffffff-ffffffff-ffffffff-ffffffff\",\"Status\":"
    "\"Success\"}')\n"
    "play('/tools/default-encoding', 'Latin1', 'text/plain')\n"
    "play('/modalities', '{\"archive\":{\"AET\":\"ARCHIVE\"}}')\n"
    "play('/modalities/pacs/query', '{\"ID\":\"1-1\"}')\n"
    "play('/modalities/pacs/echo', '{}')\n"
    "play('/modalities/pacs/move', '{\"ID\":\"2-2\"}')\n"
    "play('/modalities/archive/query', '{\"ID\":\"1-1\"}')\n"
    "play('/modalities/pacs/get', '{\"ID\":\"2-2\"}')\n"
    "play('/modalities/pacs/store', '{\"ID\":\"3-3\"}')\n"
    "play('/queries/1-1/answers', "
    "'[{\"StudyInstanceUID\":\"1.2\",\"SeriesInstanceUID\":\"1.2.1\",\"PatientName\":\"^^\",\"X\":"
    "null,"
    "\"SOPInstanceUID\":\"1.2.3\",\"SpecificCharacterSet\":\"ISO_IR 100\"}]')\n"
    "play('/queries/1-1/level', 'Study', 'text/plain')\n"
    "play('/queries/1-1/modality', 'pacs', 'text/plain')\n"
    "play('/queries/1-1/query', '{\"0010,0020\":\"X\"}')\n"
    "play('/queries/1-1/retrieve', '{\"ID\":\"4-4\"}')\n"
    "play('/tools/find', '[\"ffffffff-ffffffff-ffffffff-ffffffff-ffffffff\"]')\n"
    "play('/tools/lookup', '[{\"Type\":\"Study\",\"ID\":\"x\"}]')\n"
    "play('/studies/x/instances', '[{\"MainDicomTags\":{\"SOPInstanceUID\":\"1.2.3\"}}]')\n"
    "play('/jobs', '[]')\n"
    "play('/statistics', '{\"CountInstances\":1}')\n"
    "play('/changes', '{\"Changes\":[],\"Done\":true,\"Last\":0}')\n"
    "play('/modalities/pacs/find-worklist', "
    "'[{\"0040,0100\":[{\"0040,0006\":\"^\",\"X\":null}],\"0008,0005\":\"ISO_IR 100\"}]')\n"
    "play('/modalities/pacs/storage-commitment', '{\"ID\":\"1.2\"}')\n"
    "play('/tools/bulk-content', '[{\"MainDicomTags\":{\"0008,0018\":\"1.2.3\"}}]')\n"
    "play('/storage-commitment/1.2', "
    "'{\"Status\":\"Success\",\"Success\":[{\"SOPInstanceUID\":\"1.2.3\"}]}')\n"
    "play('/storage-commitment/1.3', "
    "'{\"Status\":\"Failure\",\"Failures\":[{\"SOPInstanceUID\":\"1.2.3\"}]}')\n"
    "play('/jobs/2-2', '{\"State\":\"Success\",\"Content\":{\"Description\":\"d\"}}')\n"
    "play('/jobs/3-3', '{\"State\":\"Failure\",\"ErrorCode\":9,\"ErrorDetails\":\"DIMSE status "
    "0xA801\"}')\n"
    "play('/jobs/4-4', '{\"State\":\"Running\"}')\n"
    "play('/modalities/pacs', '', 'text/plain')\n"
    "play('/modalities/pacs/configuration', '{\"AET\":\"A\",\"Host\":\"h\",\"Port\":1}')\n"
    "play('/peers/far', '', 'text/plain')\n"
    "play('/peers/far/configuration', "
    "'{\"Url\":\"http://h/\",\"HttpHeaders\":[\"T\"],\"Password\":null}')\n"
    "play('/peers/far/system', '{\"Name\":\"FAR\",\"X\":null}')\n"
    "play('/peers/far/store', '{\"ID\":\"5-5\"}')\n"
    "play('/jobs/5-5', '{\"State\":\"Failure\",\"ErrorCode\":9,\"ErrorDetails\":\"at "
    "http://u:p@h/x\",\"Content\":{\"Peer\":{\"Url\":\"http://u:p@h/\",\"HttpHeaders\":{"
    "\"T\":\"t\"}}}}')\n";

/* Loads parts of the Lua half: each is loaded when a function of it is called first. */
#define LOADING                                                         \
    "local modalua, task = require 'modalua', require 'modalua.task'\n" \
    "local client = modalua.connect('http://127.0.0.1:1')\n"            \
    "local pacs = client:modality 'pacs'\n"                             \
    "assert(not pcall(client.find, client, {}))\n"                      \
    "assert(not pcall(client.changes, client, 1))\n"                    \
    "assert(not pcall(client.commitment, client, ''))\n"                \
    "assert(not pcall(pacs.configure, pacs, 1))\n"                      \
    "assert(not pcall(pacs.find_each, pacs, 1))\n"                      \
    "assert(not pcall(pacs.series, pacs, 1))\n"                         \
    "assert(not pcall(pacs.move_resources, pacs, 1))\n"

static const char loading_scenario[] = LOADING;

static const char modality_scenario[] = LOADING
    "client = modalua.connect('%s')\n"
    "pacs = client:modality('pacs', {max_moves = 1})\n"
    "assert(pacs:echo())\n"
    "do\n"
    "  local found <close> = assert(pacs:find {Level = 'Study', Query = {PatientName = "
    "'M\xc3\xbcller*', "
    "Modality = ''}})\n"
    "  assert(#found.dropped == 1 and found.warning:find 'Latin1' and found.answers[1].X == nil)\n"
    "  assert(not pacs:find {Level = 'Study', Query = {Modality = 'CT'}})\n"
    "  local move = function() return pacs:move(found, {to = 'archive', unproven = 'move'}) end\n"
    "  local first, second = task.spawn(move), task.spawn(move)\n"
    "  task.sleep(0.001)\n"
    "  first:cancel() second:cancel() first:join() second:join()\n"
    "end\n"
    "assert(pacs:get('Study', {StudyInstanceUID = '1.2'}))\n"
    "assert(pacs:move_resources('Study', {{StudyInstanceUID = '1.2'}}, {TargetAet = 'ARCHIVE'}))\n"
    "local by, missing = pacs:find_each('StudyInstanceUID', {'1.2', '1.3', '1.4'})\n"
    "assert(#by['1.2'] == 1 and #missing == 2)\n"
    "assert(#pacs:series({{StudyInstanceUID = '1.2'}, {StudyInstanceUID = '1.1'}}) == 1)\n"
    "assert(#client:find {Level = 'Instance', Query = {PatientID = 'X', Modality = 'CT'}} == 1)\n"
    "for change in client:changes() do error(change) end\n"
    "local _, err = pacs:store 'ffffffff-ffffffff-ffffffff-ffffffff-ffffffff'\n"
    "assert(err.dimse_status == 0xA801)\n"
    "local list = pacs:find_worklist {ScheduledProcedureStepSequence = {{"
    "ScheduledPerformingPhysicianName = 'M\xc3\xbcller*'}}, Nonsense = ''}\n"
    "assert(#list == 1 and list.warning:find 'ScheduledPerformingPhysicianName')\n"
    "assert(not pacs:find_worklist {Modality = 'CT'})\n"
    "local commitment = assert(pacs:storage_commitment {{SOPClassUID = '1', SOPInstanceUID = "
    "'1.2.3'}, "
    "'ffffffff-ffffffff-ffffffff-ffffffff-ffffffff'})\n"
    "assert(commitment:wait() and commitment:status())\n"
    "assert(select(2, client:commitment('1.3'):wait()).code == 'not_committed')\n"
    "assert(client:query('1-1'):answers() and client:job('2-2'):wait())\n"
    "local far = client:peer 'far'\n"
    "assert(pacs:configure {Port = 1} and not pacs:configure {Port = 2} and pacs:remove())\n"
    "assert(far:system().Name == 'FAR' and not far:configure {Timeout = 1})\n"
    "assert(far:configure {Username = '', Password = 'p', HttpHeaders = {T = 't'}})\n"
    "_, err = far:store 'ffffffff-ffffffff-ffffffff-ffffffff-ffffffff'\n"
    "assert(err.code == 'peer_failed' and not err.message:find 'u:p')\n"
    "assert(err.result.Peer.HttpHeaders.T ~= 't')\n";

/* Uses functions, globals and modules of the host. It ends with an error that contains tables. */
static const char host_scenario[] =
    "local modalua = require 'modalua'\n"
    "local client = modalua.connect('%s')\n"
    "assert(require 'mine'.x == 1 and not pcall(require, 'none'))\n"
    "assert(host.echo(1, nil, {a = settings.b})[3].a == 2)\n"
    "assert(not load '\\27Lua' and not pcall(client.put, client, '/tools/reset'))\n"
    "assert(not pcall(modalua.connect, 'http://127.0.0.1:1'))\n"
    "result = {1, 2}\n"
    "local _, err = host.fail()\n"
    "err.result = result\n"
    "error(err)\n";

static void answer_echo(void *user, const char *arguments, modalua_reply *reply)
{
    (void)user;
    modalua_reply_json(reply, arguments);
}

static void answer_fail(void *user, const char *arguments, modalua_reply *reply)
{
    (void)user;
    (void)arguments;
    modalua_reply_error(reply, "full", "there is no room");
}

static void find_module(void *user, const char *name, modalua_reply *reply)
{
    static const char source[] = "return {x = 1}";
    (void)user;
    if (strcmp(name, "mine") == 0)
        modalua_reply_text(reply, source, sizeof source - 1);
}

static void discard(void *user, const char *text, size_t size)
{
    (void)user;
    (void)text;
    (void)size;
}

static int run_plain(modalua_runtime *rt, const char *code)
{
    return modalua_run_string(rt, "=torture", code, strlen(code));
}

/* The database of a ledger: a file of SQLite, or what MODALUA_TORTURE_DATABASE names, an address of PostgreSQL. */
#define OPENING "local native = dofile '" PART_LUA "' 'transfer.native'\n"

static const char opening_scenario[] = OPENING;

static const char database_scenario[] =
    OPENING "local path = os.getenv 'MODALUA_TORTURE_DATABASE' or os.tmpname()\n"
            "local g <close> = setmetatable({}, { __close = function() os.remove(path) end })\n"
            "local db <close> = assert(native.open(path, true))\n"
            "assert(db:run 'CREATE TABLE IF NOT EXISTS torture (k bigint PRIMARY KEY, v text)')\n"
            "assert(db:run 'BEGIN')\n"
            "local rows, changed = db:run('INSERT INTO torture VALUES ($1, $2), ($3, $4) RETURNING "
            "k, v', 1, 'a', 2, nil)\n"
            "assert(rows and rows[2].k == 2 and changed == 2, changed)\n"
            "local none, err = db:run('INSERT INTO torture VALUES ($1, $2)', 1, 'x')\n"
            "assert(not none and err.details)\n"
            "assert(db:run 'ROLLBACK')\n"
            "assert(db:run 'BEGIN')\n"
            "db:abandon()\n"
            "local t = require 'modalua.task'.spawn(function() return assert(db:run('SELECT v FROM "
            "torture WHERE k = $1', 1)) end)\n"
            "assert(#t:join() == 0)\n"
            "assert(not native.open('postgresql://u:p@127.0.0.1/x'))\n"
            "assert(not native.open('/nowhere/x'))\n";

/* The scenario must end with its own error, which counts as success here. */
static int run_host(modalua_runtime *rt, const char *code)
{
    const char *json;
    int status = modalua_register(rt, "host.echo", answer_echo, NULL);
    if (status == MODALUA_OK)
        status = modalua_register(rt, "host.fail", answer_fail, NULL);
    if (status == MODALUA_OK)
        status = modalua_set_global(rt, "settings", "{\"b\": 2}");
    if (status != MODALUA_OK)
        return status;
    status = run_plain(rt, code);
    json = modalua_last_error_json(rt);
    CHECK(json[0] == '{' && json[strlen(json) - 1] == '}');
    if (status == MODALUA_E_SCRIPT && strstr(json, "\"code\":\"full\""))
        status = modalua_get_global(rt, "result", &json);
    CHECK(status != MODALUA_OK || strcmp(json, "[1,2]") == 0);
    return status;
}

/* ---- tasks of the host beside a run, its objects and its streams ---- */

/* Each counts what has been given to the library, and what has come back. */
typedef struct balance {
    int objects, destroyed; /* made; destroyed */
    int tasks, done;        /* accepted; ended */
    int used, ended;        /* streams that got or gave bytes; that were told their end */
} balance;

typedef struct image {
    balance *b;
    bool used;
    long size;
} image;

static void use_image(image *i)
{
    i->b->used += !i->used;
    i->used = true;
}

static int image_write(void *object, const void *data, size_t size)
{
    image *i = object;
    (void)data;
    use_image(i);
    i->size += (long)size;
    return 0;
}

static void image_end(void *object, int complete)
{
    image *i = object;
    (void)complete;
    i->b->ended += i->used;
    i->used = false;
}

static long image_size(void *object)
{
    return ((const image *)object)->size;
}

static long image_read(void *object, void *into, size_t size, long offset)
{
    image *i = object;
    use_image(i);
    size = i->size - offset < (long)size ? (size_t)(i->size - offset) : size;
    memset(into, 'x', size);
    return (long)size;
}

static void image_destroy(void *object)
{
    image *i = object;
    i->b->destroyed++;
    free(i);
}

static const modalua_stream_class image_class = { { sizeof image_class, "torture.Image", NULL,
                                                    image_destroy },
                                                  image_write,
                                                  image_end,
                                                  image_size,
                                                  image_read };

static image *make_image(balance *b)
{
    image *i = calloc(1, sizeof *i);
    CHECK(i);
    i->b = b;
    b->objects++;
    return i;
}

/* new_image() */
static void answer_image(void *user, const char *arguments, modalua_reply *reply)
{
    image *i = make_image(user);
    (void)arguments;
    if (modalua_reply_object(reply, &image_class.base, i) != MODALUA_OK)
        image_destroy(i);
}

/* bytes(text): the text, and what is known about it. */
static void answer_bytes(void *user, const char *arguments, modalua_reply *reply)
{
    size_t size;
    const char *bytes = modalua_argument_bytes(reply, 1, &size);
    (void)user;
    (void)arguments;
    CHECK(bytes && size == 3);
    modalua_reply_json_bytes(reply, "{\"a\":[1]}", bytes, size);
}

static void count_done(void *user, modalua_runtime *rt, unsigned long task, int status,
                       const char *json)
{
    (void)rt;
    CHECK(task != 0 && status <= 0 && (json || status == MODALUA_OK));
    ((balance *)user)->done++;
}

/* Counts a task that the library has accepted. */
static int accept(balance *b, int status)
{
    b->tasks += status == MODALUA_OK;
    CHECK(status == MODALUA_OK || status == MODALUA_E_NOMEM);
    return status;
}

static const char beside_scenario[] =
    "local client = require 'modalua'.connect('%s', {retries = 0})\n"
    "local known, bytes = bytes 'a\\0\\xff'\n"
    "assert(known.a[1] == 1 and bytes == 'a\\0\\xff')\n"
    "local sink <close> = new_image()\n"
    "assert(client:download('/big?bytes=3000', image) == 3000)\n"
    "assert(client:download('/ok', sink) == 2)\n"
    "assert(client:upload(image).Status == 'Success')\n";

static const char defining[] = "function call(n) called = n return n end\n"
                               "function post(n) posted = n return {n} end\n"
                               "function wait() require 'modalua.task'.sleep(600) end\n";

/* Starts four tasks. Returns the status of the first call that failed. */
static int start_beside(modalua_runtime *rt, balance *b)
{
    static const char chunk[] = "chunk = true return 1";
    modalua_statistics stats = { .struct_size = sizeof stats };
    unsigned long waiting = 0;
    int status = accept(b, modalua_spawn_call(rt, "call", "[1]", count_done, b, NULL));
    if (status == MODALUA_OK)
        status = accept(
            b, modalua_spawn_string(rt, "=chunk", chunk, sizeof chunk - 1, count_done, b, NULL));
    if (status == MODALUA_OK)
        status = accept(b, modalua_post(rt, "post", "2", count_done, b, NULL));
    if (status == MODALUA_OK)
        status = accept(b, modalua_spawn_call(rt, "wait", NULL, count_done, b, &waiting));
    modalua_cancel_task(rt, waiting);
    CHECK(modalua_stats(rt, &stats) == MODALUA_OK && stats.memory > 0);
    return status;
}

static int set_up_beside(modalua_runtime *rt, balance *b)
{
    int status = run_plain(rt, defining);
    if (status == MODALUA_OK)
        status = modalua_register_owned(rt, "bytes", answer_bytes, make_image(b), image_destroy);
    if (status == MODALUA_OK)
        status = modalua_register(rt, "new_image", answer_image, b);
    if (status == MODALUA_OK)
        status = modalua_set_object(rt, "image", &image_class.base, make_image(b));
    return status;
}

static balance beside; /* of the run under way */

/* Whatever fails: each task that was accepted ends once. */
static int run_beside(modalua_runtime *rt, const char *code)
{
    balance *b = &beside;
    int status, failed;
    memset(b, 0, sizeof *b);
    status = set_up_beside(rt, b);
    if (status == MODALUA_OK)
        status = modalua_start_string(rt, "=torture", code, strlen(code), NULL, NULL);
    if (status != MODALUA_OK)
        return status;
    failed = start_beside(rt, b);
    do
        status = modalua_step(rt, -1);
    while (status == MODALUA_WORKING);
    CHECK(b->done == b->tasks);
    if (status == MODALUA_OK && failed == MODALUA_OK)
        status = run_plain(rt, "assert(called[1] == 1 and posted == 2 and chunk)");
    return failed != MODALUA_OK ? failed : status;
}

typedef int (*run_fn)(modalua_runtime *rt, const char *code);

/* One run in which the n-th allocation fails. Returns whether any allocation failed. Stores the
 * number of allocations in *asked, unless it is NULL. */
static int attempt(run_fn run, const char *url, const char *code, long n, long window, long *asked)
{
    faulty f = { .countdown = n, .window = window };
    modalua_config config;
    modalua_runtime *rt = NULL;
    int status;
    modalua_config_init(&config);
    config.alloc = faulty_alloc;
    config.alloc_user = &f;
    config.write = discard;
    config.log = discard;
    if (run == run_host) {
        config.flags = MODALUA_SANDBOX;
        config.servers = url;
        config.search = find_module;
    }
    status = modalua_create(&rt, &config);
    if (status == MODALUA_OK) {
        status = run(rt, code);
        if (f.failed == 0 && status != MODALUA_OK) {
            fprintf(stderr, "%s\n", modalua_last_error(rt));
            exit(1);
        }
        CHECK(strlen(modalua_last_error(rt)) < 100000);
        modalua_destroy(rt);
    }
    CHECK(f.live == 0 && beside.objects == beside.destroyed && beside.used == beside.ended);
    CHECK(status <= 0 && status != MODALUA_E_BUSY && status != MODALUA_E_INVALID);
    if (asked)
        *asked = f.asked;
    return f.failed > 0;
}

/* Makes one run for every `stride`-th allocation from number `first` on, in which it fails. Returns the
 * number of runs with a failure. */
static long fail_each_allocation(run_fn run, const char *scenario, const char *url, long first,
                                 long stride)
{
    static const long windows[] = { 1, 3 };
    char code[8192];
    long runs = 0;
    snprintf(code, sizeof code, scenario, url);
    for (size_t w = 0; w < sizeof windows / sizeof windows[0]; w++)
        for (long n = first; attempt(run, url, code, n, windows[w], NULL); n += stride)
            runs++;
    return runs;
}

/* One run without a failure: else the runs with failures would try less than they seem to. */
static void try_once(run_fn run, const char *scenario, const char *url)
{
    char code[8192];
    snprintf(code, sizeof code, scenario, url);
    CHECK(!attempt(run, url, code, -1, 0, NULL));
}

/* Both scenarios have thousands of allocations, and a run of the second one waits for jobs. Prime numbers, so
 * that the runs do not fall into step with a loop. */
enum { LOADING_STRIDE = 11, MODALITY_STRIDE = 13 };

int main(int argc, char **argv)
{
    long plain, loading, modality, host, tasks, database, required, loaded, opened;
    CHECK(argc == 2);
    try_once(run_plain, general_scenario, argv[1]);
    try_once(run_plain, roles, argv[1]);
    try_once(run_plain, modality_scenario, argv[1]);
    try_once(run_host, host_scenario, argv[1]);
    try_once(run_beside, beside_scenario, argv[1]);
    try_once(run_plain, database_scenario, argv[1]);
    plain = fail_each_allocation(run_plain, general_scenario, argv[1], 0, 1);
    /* Each scenario skips the allocations that the one before it has tested. */
    CHECK(!attempt(run_plain, argv[1], "require 'modalua'", -1, 0, &required));
    loading = fail_each_allocation(run_plain, loading_scenario, argv[1], required, LOADING_STRIDE);
    CHECK(!attempt(run_plain, argv[1], loading_scenario, -1, 0, &loaded));
    modality = fail_each_allocation(run_plain, modality_scenario, argv[1], loaded, MODALITY_STRIDE);
    host = fail_each_allocation(run_host, host_scenario, argv[1], 0, 1);
    tasks = fail_each_allocation(run_beside, beside_scenario, argv[1], 0, 1);
    CHECK(!attempt(run_plain, argv[1], opening_scenario, -1, 0, &opened));
    database = fail_each_allocation(run_plain, database_scenario, argv[1], opened, 1);
    printf("runs with a failed allocation: %ld, %ld, %ld, %ld, %ld and %ld\n", plain, loading,
           modality, host, tasks, database);
    CHECK(plain > 500 && loading > 500 && modality > 500 && host > 500 && tasks > 500);
    CHECK(database > 100);
    return 0;
}
