#include "api/files.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/remote.h"
#include "api/streams.h"
#include "base/partial_file.h"
#include "base/zip.h"
#include "binding/doc.h"
#include "binding/error.h"
#include "binding/options.h"
#include "json/encode.h"
#include "orthanc/file_routes.h"
#include "orthanc/routes.h"
#include "request/guard.h"
#include "request/response.h"
#include "request/single_request.h"

/* The file is open from before the first request until the call is released. */
typedef struct file_call {
    call call;
    http_file file;      /* fd below 0 = it is not open */
    host_object *object; /* a stream in its place; NULL = none */
    bool uses_object;
    unsigned tries; /* of an upload */
    size_t part; /* where the name of the partial file begins in `name`; 0 = nothing is written */
    char name
        []; /* of the file, and behind its NUL that of the partial file; or of the stream's class */
} file_call;

const option files_download_rows[] = {
    CALL_TIMEOUT_ROW(0),
    CALL_PROGRESS_ROW,
    { "query", OPTION_TABLE, 0, "what follows the ? in the address, from name to value" },
    { "body", OPTION_TABLE, 0, "is sent as JSON with POST; without it the request is a GET" },
    OPTIONS_END
};

const option files_source_rows[] = {
    { "data", OPTION_VALUE, 0, "string with the content of a file" }, OPTIONS_END
};

/* ---- the file ---- */

static void end_stream(file_call *f, bool complete)
{
    bool uses = f->uses_object;
    f->uses_object = false;
    if (uses)
        streams_end(f->object, complete);
}

static void files_released(op *o)
{
    file_call *f = (file_call *)o;
    call_released(o);
    end_stream(f, false);
    if (f->file.fd >= 0 && f->part > 0)
        partial_file_abandon(f->file.fd, f->name + f->part);
    else if (f->file.fd >= 0)
        close(f->file.fd);
    f->file.fd = -1;
}

/* The call on the top will use the object at index in the place of a file. [-0, +0, m] */
static void keep_object(lua_State *L, file_call *f, int index, bool sink)
{
    int call_index = lua_gettop(L);
    call_keep(L, call_index, "object", index);
    f->object = host_object_to(L, index);
    if (!sink)
        return;
    f->file.ends = lua_newuserdatauv(L, sizeof *f->file.ends, 0);
    call_keep(L, call_index, "ends", -1);
    lua_pop(L, 1);
}

static void use_object(file_call *f)
{
    if (!f->uses_object)
        streams_use(f->object, &f->file);
    f->uses_object = true;
}

/* Pushes a call about the file with the name at index `name_index` (0 = none), or about the object there,
 * for the client at index `client_index`. [-0, +1, v] */
static file_call *push_file_call(lua_State *L, loop *lp, int client_index, int name_index,
                                 const char *name, call_step first)
{
    size_t size = 0;
    bool is_stream = name_index && streams_is(L, name_index);
    const char *text = !name_index ? ""
                       : is_stream ? host_object_to(L, name_index)->class->name
                                   : lua_tolstring(L, name_index, &size);
    file_call *f;
    if (is_stream)
        size = strlen(text);
    else if (name_index)
        guard_check(L, lp, name, "a sandboxed script has no files");
    if (strlen(text) != size)
        error_usage(L, "%s: the name of the file holds a NUL", name);
    f = (file_call *)call_new(L, lp, sizeof *f + 2 * (size + sizeof PARTIAL_FILE_SUFFIX),
                              client_index, name, first);
    f->file.fd = -1;
    f->call.op.on_release = files_released;
    memcpy(f->name, text, size + 1);
    return f;
}

/* Pushes nil and an error about the file; returns 2. */
static int fail_file(lua_State *L, file_call *f, const char *what, const char *why)
{
    call_fail(L, &f->call, "refused", "file", "'%s' cannot be %s: %s", f->name, what, why);
    if (!f->object)
        error_set(L, "file", f->name);
    return 2;
}

/* Adds the name of the file, or of the stream's class, to the error on the top, below which is nil; returns
 * 2. */
static int add_file_name(lua_State *L, const file_call *f)
{
    if (error_is_code(L, -1, "file")) {
        lua_getfield(L, -1, "message");
        lua_pushfstring(L, "'%s': %s", f->name, lua_tostring(L, -1));
        error_make_shown(L, SHOWN_LINE);
        lua_setfield(L, -3, "message");
        lua_pop(L, 1);
    }
    if (f->name[0] && !f->object)
        error_set(L, "file", f->name);
    return 2;
}

/* Reads the options at index for the call on the top. A transfer of a file has no time limit as long as
 * bytes keep coming: the client's timeout is the longest silence. */
static void read_options(lua_State *L, file_call *f, int index, const option *rows)
{
    call_read_wait(L, index, &f->call, rows);
    f->call.request.stall_timeout = f->call.client->timeout;
}

/* ---- download: the steps, in order ---- */

static int files_send_download(lua_State *L, call *c);
static int files_on_download(lua_State *L, call *c);

/* Pushes the option: a table, or nil. Returns its index. */
static int push_option(lua_State *L, int options, const char *name)
{
    if (lua_istable(L, options))
        lua_getfield(L, options, name);
    else
        lua_pushnil(L);
    return lua_gettop(L);
}

/* Makes the table on the top, unless it is nil, the body of a POST. False: nil and an error are
 * pushed. */
static bool set_download_body(lua_State *L, file_call *f, int call_index)
{
    http_request *r = &f->call.request;
    if (lua_isnil(L, -1))
        return true;
    if (!json_encode(L, -1, NULL)) {
        call_fail(L, &f->call, "refused", NULL, "the body cannot be sent as JSON: %s",
                  lua_tostring(L, -1));
        return false;
    }
    r->body = lua_tolstring(L, -1, &r->body_size);
    r->content_type = "application/json";
    r->method = "POST";
    call_keep(L, call_index, "body", -1);
    return true;
}

/* The name of the partial file: that of the file and a suffix. */
static void set_part_name(file_call *f)
{
    size_t size = strlen(f->name);
    f->part = size + 1;
    memcpy(f->name + f->part, f->name, size);
    strcpy(f->name + f->part + size, PARTIAL_FILE_SUFFIX);
}

/* Checks the place to which a download goes: the name of a file, or a sink. [-0, +0, v] */
static void check_place(lua_State *L, int index)
{
    if (streams_is(L, index))
        streams_check(L, index, true, "download");
    else
        luaL_argexpected(L, lua_type(L, index) == LUA_TSTRING && lua_rawlen(L, index) > 0, index,
                         "name of a file");
}

/* GET of any route, or POST with a body, into a file or a sink. self path file options */
int files_download(lua_State *L)
{
    enum { SELF = 1, PATH, FILE_NAME, OPTIONS, CALL };
    file_call *f;
    client_check(L, SELF);
    lua_settop(L, OPTIONS);
    check_place(L, FILE_NAME);
    f = push_file_call(L, doc_loop(L), SELF, FILE_NAME, "download", files_send_download);
    if (streams_is(L, FILE_NAME))
        keep_object(L, f, FILE_NAME, true);
    else
        set_part_name(f);
    read_options(L, f, OPTIONS, files_download_rows);
    single_request_push_path(L, PATH, push_option(L, OPTIONS, "query"));
    f->call.request.path = lua_tostring(L, -1);
    f->call.request.method = "GET";
    call_keep(L, CALL, "path", -1);
    push_option(L, OPTIONS, "body");
    if (!set_download_body(L, f, CALL))
        return 2;
    lua_settop(L, CALL);
    return op_run(L, &f->call.op);
}

/* Why partial_file_open has failed. */
static const char *why_no_part(int error)
{
    return error == EBUSY    ? "another process is writing it"
           : error == EEXIST ? "it is not a regular file"
           : error == EPERM  ? "there is something else with its name and " PARTIAL_FILE_SUFFIX
                             : strerror(error);
}

static int files_send_download(lua_State *L, call *c)
{
    file_call *f = (file_call *)c;
    bool post = c->request.body != NULL;
    if (f->object) {
        use_object(f);
    } else {
        f->file.fd = partial_file_open(f->name, f->name + f->part);
        if (f->file.fd < 0)
            return fail_file(L, f, "written", why_no_part(errno));
    }
    c->request.sink = &f->file;
    call_push(L, c, "path");
    return call_start(L, c, files_on_download, post ? "POST" : "GET",
                      post ? CALL_REMOTE : CALL_ECHO);
}

/* Reads bytes of the file that was received. Returns whether they are there. */
static bool read_received(const file_call *f, char *bytes, size_t size, curl_off_t at)
{
    if (f->object)
        return at >= 0 && stream_ends_read(f->file.ends, bytes, size, (size_t)at);
    return at >= 0 && at + (curl_off_t)size <= f->file.done &&
           pread(f->file.fd, bytes, size, at) == (ssize_t)size;
}

/* Whether the file is an archive without an end: the connection was lost, and libcurl did not see it.
 * [-0, +0, m] */
static bool is_cut_archive(lua_State *L, const file_call *f)
{
    const http_file *file = &f->file;
    bool cut;
    char *tail; /* too large for the C stack of a thread */
    size_t size = file->done < ZIP_TAIL ? (size_t)file->done : ZIP_TAIL;
    if (strcmp(f->call.op.transfer.content_type, ZIP_TYPE) != 0)
        return false;
    tail = lua_newuserdatauv(L, ZIP_TAIL, 0);
    cut = !read_received(f, tail, size, file->done - (curl_off_t)size) || !zip_has_end(tail, size);
    lua_pop(L, 1);
    return cut;
}

/* Whether the file is no archive; one that lacks all its bytes may be one. */
static bool is_no_archive(const file_call *f)
{
    char begin[ZIP_BEGIN];
    return read_received(f, begin, sizeof begin, 0) && !zip_has_begin(begin);
}

/* Whether the file is no DICOM file (DICOM PS3.10 7.1). Orthanc also keeps files without the preamble: they
 * begin with an element of the groups 0002 or 0008, in either byte order. */
static bool is_no_dicom(const file_call *f)
{
    enum { MAGIC_AT = 128 };
    static const char magic[] = { 'D', 'I', 'C', 'M' };
    char begin[2], found[sizeof magic];
    if (read_received(f, found, sizeof found, MAGIC_AT) && memcmp(found, magic, sizeof magic) == 0)
        return false;
    return !read_received(f, begin, sizeof begin, 0) || (begin[0] != 0 && begin[1] != 0) ||
           (begin[0] + begin[1] != 2 && begin[0] + begin[1] != 8);
}

/* Pushes how the answer differs from the file that its route gives. False: it is that file. */
static bool file_differs(lua_State *L, const file_call *f)
{
    const http_transfer *t = &f->call.op.transfer;
    file_kind kind = file_kind_of(t->request.path);
    const char *type = kind == FILE_ARCHIVE ? ZIP_TYPE : "application/dicom";
    bool is_zip = strcmp(t->content_type, ZIP_TYPE) == 0;
    if (kind != FILE_ANY && strcmp(t->content_type, type) != 0) {
        response_push_quoted(L, t->content_type, strlen(t->content_type));
        lua_pushfstring(L, "its type is '%s', not %s", lua_tostring(L, -1), type);
    } else if (is_zip && is_no_archive(f)) {
        lua_pushliteral(L, "it is no ZIP archive, although its type says so");
    } else if (kind == FILE_DICOM && is_no_dicom(f)) {
        lua_pushliteral(L, "it is no DICOM file, although its type says so");
    } else {
        return false;
    }
    return true;
}

/* Returns the number of bytes. */
static int files_on_download(lua_State *L, call *c)
{
    file_call *f = (file_call *)c;
    int error;
    if (call_answer(L, c) != 1)
        return add_file_name(L, f);
    if (file_differs(L, f)) {
        response_fail_shape(L, &c->op, lua_tostring(L, -1));
        return add_file_name(L, f);
    }
    if (is_cut_archive(L, f)) {
        response_fail_cut(L, &c->op);
        return add_file_name(L, f);
    }
    end_stream(f, true);
    error = f->object ? 0 : partial_file_commit(f->file.fd, f->name, f->name + f->part);
    f->file.fd = -1;
    if (error)
        return fail_file(L, f, "written", strerror(error));
    lua_pushinteger(L, (lua_Integer)f->file.done);
    return 1;
}

/* ---- sending a file, or data ---- */

/* Pushes a call that sends the value at index SOURCE: the name of a file, which is not opened yet, a source
 * of the host, or {data = string}. The options are behind it. [-0, +1, v] */
static file_call *push_sender(lua_State *L, loop *lp, int client_index, const char *name,
                              call_step first)
{
    enum { SOURCE = 2, OPTIONS };
    bool data = lua_istable(L, SOURCE), stream = streams_is(L, SOURCE);
    file_call *f;
    if (data) {
        char nothing;
        options_read(L, SOURCE, name, files_source_rows, &nothing);
        if (lua_getfield(L, SOURCE, "data") != LUA_TSTRING)
            error_usage(L, "%s: 'data' must be a string (a %s was given)", name,
                        luaL_typename(L, -1));
    } else if (stream) {
        streams_check(L, SOURCE, false, name);
        lua_pushnil(L);
    } else if (lua_type(L, SOURCE) != LUA_TSTRING) {
        error_usage(L, "%s: the name of a file, or {data = string}, is expected (a %s was given)",
                    name, luaL_typename(L, SOURCE));
    } else {
        lua_pushnil(L);
    }
    f = push_file_call(L, lp, client_index, data ? 0 : SOURCE, name, first); /* … data call */
    if (data) {
        f->call.request.body = lua_tolstring(L, -2, &f->call.request.body_size);
        call_keep(L, lua_gettop(L), "body", -2);
    }
    lua_remove(L, -2);
    if (stream)
        keep_object(L, f, SOURCE, false);
    f->call.request.method = "POST";
    f->call.request.content_type = "application/dicom"; /* Orthanc looks at the bytes instead */
    read_options(L, f, OPTIONS, call_wait_rows);
    return f;
}

/* Opens the file to send. Returns NULL, or why it cannot be read. */
static const char *open_source(file_call *f)
{
    struct stat what;
    int error;
    if (f->object) {
        use_object(f);
        error = streams_open_source(f->object, &f->file);
        return error ? strerror(error) : NULL;
    }
    f->file.fd = open(f->name, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe would block */
    if (f->file.fd < 0 || fstat(f->file.fd, &what) != 0)
        return strerror(errno);
    if (!S_ISREG(what.st_mode))
        return S_ISDIR(what.st_mode) ? "it is a folder" : "it is not a regular file";
    f->file.size = what.st_size;
    return NULL;
}

/* Sends the file or data to data.path; `next` takes the answer. */
static int send_source(lua_State *L, call *c, call_step next)
{
    file_call *f = (file_call *)c;
    const char *why = c->request.body || f->file.fd >= 0 ? NULL : open_source(f);
    if (why)
        return fail_file(L, f, "read", why);
    if (!c->request.body)
        c->request.source = &f->file;
    call_push(L, c, "path");
    return call_start(L, c, next, "POST", CALL_REMOTE);
}

/* ---- upload: the steps, in order ---- */

enum { FOLDER_RACE = 2001, UPLOAD_TRIES = 4 }; /* the first is an OrthancStatus */

#define UPLOAD_PAUSE 0.05 /* seconds before the second try; each later pause is as much longer */

static int files_send_upload(lua_State *L, call *c);
static int files_on_upload(lua_State *L, call *c);

/* POST /instances: a DICOM file, or an archive of them. self source options */
int files_upload(lua_State *L)
{
    file_call *f;
    client_check(L, 1);
    lua_settop(L, 3);
    f = push_sender(L, doc_loop(L), 1, "upload", files_send_upload);
    lua_pushliteral(L, "/instances");
    f->call.request.path = lua_tostring(L, -1);
    call_set_route(L, lua_gettop(L) - 1);
    return op_run(L, &f->call.op);
}

static int files_send_upload(lua_State *L, call *c)
{
    return send_source(L, c, files_on_upload);
}

typedef enum record {
    RECORD_NONE, /* it is no record of an instance */
    RECORD_NOT_STORED,
    RECORD_STORED /* under the ID that it names */
} record;

/* What the value at index says of an instance that Orthanc has received. */
static record read_record(lua_State *L, int index)
{
    const char *status;
    record r = RECORD_NONE;
    int top = lua_gettop(L);
    if (lua_istable(L, index) && lua_getfield(L, index, "Status") == LUA_TSTRING) {
        status = lua_tostring(L, -1);
        r = RECORD_NOT_STORED;
        if (strcmp(status, "Success") == 0 || strcmp(status, "AlreadyStored") == 0)
            r = lua_getfield(L, index, "ID") == LUA_TSTRING &&
                        orthanc_is_stored_id(lua_tostring(L, -1))
                    ? RECORD_STORED
                    : RECORD_NONE;
    }
    lua_settop(L, top);
    return r;
}

/* The least of the records in the answer at index: one, or the list for an archive. */
static record read_answer(lua_State *L, int index)
{
    lua_Integer n = lua_istable(L, index) ? (lua_Integer)lua_rawlen(L, index) : 0;
    record least = n > 0 ? RECORD_STORED : read_record(L, index);
    for (lua_Integer i = 1; i <= n; i++) {
        record r;
        lua_rawgeti(L, index, i);
        r = read_record(L, lua_gettop(L));
        least = r < least ? r : least;
        lua_pop(L, 1);
    }
    return least;
}

/* Whether the error on the top comes from a race inside Orthanc, which stored nothing. Orthanc makes
 * the folder of an instance that it stores while it removes folders of instances that it deletes; a
 * folder can vanish in between. */
static bool is_folder_race(lua_State *L)
{
    static const char folder_gone[] = "Error while accessing the filesystem";
    const char *details;
    bool race;
    lua_getfield(L, -1, "orthanc_status");
    lua_getfield(L, -2, "details");
    details = lua_isstring(L, -1) ? lua_tostring(L, -1) : "";
    race = lua_tointeger(L, -2) == FOLDER_RACE ||
           strncmp(details, folder_gone, sizeof folder_gone - 1) == 0;
    lua_pop(L, 2);
    return race;
}

static int files_on_upload(lua_State *L, call *c)
{
    file_call *f = (file_call *)c;
    int result = c->op.index + 1;
    record stored;
    f->tries++;
    if (call_answer(L, c) != 1) {
        if (!is_folder_race(L) || f->tries >= UPLOAD_TRIES)
            return add_file_name(L, f);
        c->step = files_send_upload;
        return op_sleep(L, &c->op, f->tries * UPLOAD_PAUSE);
    }
    stored = read_answer(L, result);
    if (stored == RECORD_STORED) {
        end_stream(f, true);
        return 1;
    }
    if (stored == RECORD_NOT_STORED)
        call_fail(L, c, "orthanc", "not_stored",
                  "the server received it, but says that it has not stored all of it");
    else
        call_fail(
            L, c, "unknown", "decode",
            "unexpected response: the server received it, and its answer does not say whether "
            "it is stored");
    lua_pushvalue(L, result);
    lua_setfield(L, -2, "result");
    return add_file_name(L, f);
}

/* ---- C-STORE of a file: the steps, in order ---- */

static int files_send_store_straight(lua_State *L, call *c);
static int files_on_store_straight(lua_State *L, call *c);

/* POST /modalities/{name}/store-straight: DICOM PS3.4 B (Storage). self source options */
int files_store_straight(lua_State *L)
{
    const remote *r = remote_check(L, 1, &remote_modality);
    file_call *f;
    lua_settop(L, 3);
    lua_getiuservalue(L, 1, REMOTE_CLIENT);
    f = push_sender(L, r->lp, 4, "store_straight", files_send_store_straight);
    lua_pushfstring(L, "%s/store-straight", r->path);
    call_set_route(L, lua_gettop(L) - 1);
    return op_run(L, &f->call.op);
}

static int files_send_store_straight(lua_State *L, call *c)
{
    return send_source(L, c, files_on_store_straight);
}

/* Orthanc answers with the SOP class and the identifier of what it has sent. */
static int files_on_store_straight(lua_State *L, call *c)
{
    static const char *const uids[] = { "SOPClassUID", "SOPInstanceUID" };
    int result = c->op.index + 1;
    if (call_answer_of(L, c, SHAPE_OBJECT) != 1)
        return add_file_name(L, (file_call *)c);
    for (size_t i = 0; i < sizeof uids / sizeof uids[0]; i++)
        if (!call_push_member(L, c, result, uids[i], SHAPE_UID))
            return add_file_name(L, (file_call *)c);
    lua_settop(L, result);
    end_stream((file_call *)c, true);
    return 1;
}
