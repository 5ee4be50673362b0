#include "api/files.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/remote.h"
#include "base/partial_file.h"
#include "base/zip.h"
#include "binding/doc.h"
#include "binding/error.h"
#include "binding/options.h"
#include "json/encode.h"
#include "request/guard.h"
#include "request/response.h"
#include "request/single_request.h"

enum { FOLDER_RACE = 2001, STORE_TRIES = 4 }; /* an OrthancStatus */

#define STORE_PAUSE 0.05 /* seconds, and as many more each time */

/* Its file is open from before the first request until it is released. */
typedef struct file_call {
    call call;
    http_file file; /* fd below 0: there is none */
    unsigned tries; /* to store */
    size_t part;    /* where in `name` the name of the part begins; 0 = nothing is written */
    char name[];
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

static void files_released(op *o)
{
    file_call *f = (file_call *)o;
    call_released(o);
    if (f->file.fd >= 0 && f->part > 0)
        partial_file_abandon(f->file.fd, f->name + f->part);
    else if (f->file.fd >= 0)
        close(f->file.fd);
    f->file.fd = -1;
}

/* Pushes a call about the file whose name is at index (0 = none); the client is at `client`. */
static file_call *push_file_call(lua_State *L, loop *lp, int client_index, int name_index,
                                 const char *name, call_step first)
{
    size_t size = 0;
    const char *text = name_index ? lua_tolstring(L, name_index, &size) : "";
    file_call *f;
    if (name_index)
        guard_check(L, lp, name, "a sandboxed script has no files");
    if (strlen(text) != size)
        error_usage(L, "%s: the file's name holds a NUL", name);
    f = (file_call *)call_new(L, lp, sizeof *f + 2 * (size + sizeof PARTIAL_FILE_SUFFIX),
                              client_index, name, first);
    f->file.fd = -1;
    f->call.op.on_release = files_released;
    memcpy(f->name, text, size + 1);
    return f;
}

/* Pushes nil and an error about the file; returns 2. */
static int file_failed(lua_State *L, file_call *f, const char *what, const char *why)
{
    call_fail(L, &f->call, "refused", "file", "'%s' cannot be %s: %s", f->name, what, why);
    error_set(L, "file", f->name);
    return 2;
}

/* nil and an error are on the top: of the file's it says which. */
static int failed(lua_State *L, const file_call *f)
{
    if (error_is_code(L, -1, "file")) {
        lua_getfield(L, -1, "message");
        lua_pushfstring(L, "'%s': %s", f->name, lua_tostring(L, -1));
        lua_setfield(L, -3, "message");
        lua_pop(L, 1);
    }
    if (f->name[0])
        error_set(L, "file", f->name);
    return 2;
}

/* Reads the options at index for the call on the top. */
static void read_options(lua_State *L, file_call *f, int index, const option *rows)
{
    call_read_wait(L, index, &f->call, rows);
    f->call.request.stall_timeout = f->call.client->timeout;
}

/* ---- download ---- */

/* Why partial_file_open has failed. */
static const char *why_no_part(int error)
{
    return error == EBUSY    ? "somebody else is writing it"
           : error == EEXIST ? "it is no regular file"
           : error == EPERM  ? "there is something else with its name and " PARTIAL_FILE_SUFFIX
                             : strerror(error);
}

static bool is_cut(const file_call *f)
{
    char tail[ZIP_TAIL];
    const http_file *file = &f->file;
    size_t room = file->done < ZIP_TAIL ? (size_t)file->done : ZIP_TAIL;
    if (strcmp(f->call.op.transfer.content_type, ZIP_TYPE) != 0)
        return false;
    return pread(file->fd, tail, room, file->done - (curl_off_t)room) != (ssize_t)room ||
           !zip_has_end(tail, room);
}

static int files_on_download(lua_State *L, call *c)
{
    file_call *f = (file_call *)c;
    int error;
    if (call_answer(L, c) != 1)
        return failed(L, f);
    if (is_cut(f)) {
        response_fail_cut(L, &c->op);
        return failed(L, f);
    }
    error = partial_file_commit(f->file.fd, f->name, f->name + f->part);
    f->file.fd = -1;
    if (error)
        return file_failed(L, f, "written", strerror(error));
    lua_pushinteger(L, (lua_Integer)f->file.done);
    return 1;
}

static int files_send_download(lua_State *L, call *c)
{
    file_call *f = (file_call *)c;
    bool post = c->request.body != NULL;
    f->file.fd = partial_file_open(f->name, f->name + f->part);
    if (f->file.fd < 0)
        return file_failed(L, f, "written", why_no_part(errno));
    c->request.sink = &f->file;
    call_push_data(L, c);
    lua_getfield(L, -1, "path");
    return call_start(L, c, files_on_download, post ? "POST" : "GET",
                      post ? CALL_REMOTE : CALL_ECHO);
}

/* Pushes the option, a table or nil; returns its place. */
static int push_option(lua_State *L, int options, const char *name)
{
    if (lua_istable(L, options))
        lua_getfield(L, options, name);
    else
        lua_pushnil(L);
    return lua_gettop(L);
}

/* The table on the top, or nil, becomes the body. False: nil and an error are pushed. */
static bool set_body(lua_State *L, file_call *f, int call_index)
{
    if (lua_isnil(L, -1))
        return true;
    if (!json_encode(L, -1, NULL)) {
        call_fail(L, &f->call, "refused", NULL, "the body cannot be sent: %s", lua_tostring(L, -1));
        return false;
    }
    f->call.request.body = lua_tolstring(L, -1, &f->call.request.body_size);
    f->call.request.content_type = "application/json";
    f->call.request.method = "POST";
    call_keep(L, call_index, "body", -1);
    return true;
}

/* The part is called after the file. */
static void name_part(file_call *f)
{
    size_t size = strlen(f->name);
    f->part = size + 1;
    memcpy(f->name + f->part, f->name, size);
    strcpy(f->name + f->part + size, PARTIAL_FILE_SUFFIX);
}

/* GET of any route, or POST with a body, into a file. self path file options */
int files_download(lua_State *L)
{
    enum { SELF = 1, PATH, FILE_NAME, OPTIONS, CALL };
    file_call *f;
    client_check(L, SELF);
    lua_settop(L, OPTIONS);
    luaL_argexpected(L, lua_type(L, FILE_NAME) == LUA_TSTRING && lua_rawlen(L, FILE_NAME) > 0,
                     FILE_NAME, "name of a file");
    f = push_file_call(L, doc_loop(L), SELF, FILE_NAME, "download", files_send_download);
    name_part(f);
    read_options(L, f, OPTIONS, files_download_rows);
    single_request_push_path(L, PATH, push_option(L, OPTIONS, "query"));
    f->call.request.path = lua_tostring(L, -1);
    f->call.request.method = "GET";
    call_keep(L, CALL, "path", -1);
    push_option(L, OPTIONS, "body");
    if (!set_body(L, f, CALL))
        return 2;
    lua_settop(L, CALL);
    return op_run(L, &f->call.op);
}

/* ---- sending ---- */

/* Opens the file that is to be sent. NULL, or why it cannot be. */
static const char *open_source(file_call *f)
{
    struct stat what;
    f->file.fd = open(f->name, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe would block here */
    if (f->file.fd < 0 || fstat(f->file.fd, &what) != 0)
        return strerror(errno);
    if (!S_ISREG(what.st_mode))
        return S_ISDIR(what.st_mode) ? "it is a folder" : "it is no regular file";
    f->file.size = what.st_size;
    return NULL;
}

/* Pushes a call that sends what is at index SOURCE: the name of a file, or {data = string}; nothing
 * is opened yet. The options are behind it, the client at `client`. */
static file_call *push_sender(lua_State *L, loop *lp, int client_index, const char *name,
                              call_step first)
{
    enum { SOURCE = 2, OPTIONS };
    bool data = lua_istable(L, SOURCE);
    file_call *f;
    if (data) {
        char nothing;
        options_read(L, SOURCE, name, files_source_rows, &nothing);
        if (lua_getfield(L, SOURCE, "data") != LUA_TSTRING)
            error_usage(L, "%s: 'data' must be a string (a %s was given)", name,
                        luaL_typename(L, -1));
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
    f->call.request.method = "POST";
    f->call.request.content_type = "application/dicom"; /* Orthanc looks at the bytes instead */
    read_options(L, f, OPTIONS, call_wait_rows);
    return f;
}

/* Sends it to data.path; `next` takes the answer. */
static int send_source(lua_State *L, call *c, call_step next)
{
    file_call *f = (file_call *)c;
    const char *why = c->request.body || f->file.fd >= 0 ? NULL : open_source(f);
    if (why)
        return file_failed(L, f, "read", why);
    if (!c->request.body)
        c->request.source = &f->file;
    call_push_data(L, c);
    lua_getfield(L, -1, "path");
    return call_start(L, c, next, "POST", CALL_REMOTE);
}

/* ---- upload ---- */

static int files_send_upload(lua_State *L, call *c);

/* Whether Orthanc says of the instance at index that it has it. */
static bool is_stored(lua_State *L, int index)
{
    bool stored;
    if (!lua_istable(L, index))
        return false;
    lua_getfield(L, index, "Status");
    stored = lua_isstring(L, -1) && (strcmp(lua_tostring(L, -1), "Success") == 0 ||
                                     strcmp(lua_tostring(L, -1), "AlreadyStored") == 0);
    lua_pop(L, 1);
    return stored;
}

/* An archive gives a list. */
static bool all_stored(lua_State *L, int index)
{
    lua_Integer n = lua_istable(L, index) ? (lua_Integer)lua_rawlen(L, index) : 0;
    bool stored = n > 0 || is_stored(L, index);
    for (lua_Integer i = 1; stored && i <= n; i++) {
        lua_rawgeti(L, index, i);
        stored = is_stored(L, lua_gettop(L));
        lua_pop(L, 1);
    }
    return stored;
}

/* Orthanc makes a folder for an instance that it stores and removes the folders of those that it
 * deletes, all at once: the one that comes too late, or too early, fails, with nothing stored. The
 * error is on the top. */
static bool lost_a_race(lua_State *L, const file_call *f)
{
    static const char folder_gone[] = "Error while accessing the filesystem";
    const char *details;
    bool lost;
    lua_getfield(L, -1, "orthanc_status");
    lua_getfield(L, -2, "details");
    details = lua_isstring(L, -1) ? lua_tostring(L, -1) : "";
    lost = lua_tointeger(L, -2) == FOLDER_RACE ||
           strncmp(details, folder_gone, sizeof folder_gone - 1) == 0;
    lua_pop(L, 2);
    return lost && f->tries < STORE_TRIES;
}

static int files_on_upload(lua_State *L, call *c)
{
    file_call *f = (file_call *)c;
    int result = c->op.index + 1;
    f->tries++;
    if (call_answer(L, c) != 1) {
        if (!lost_a_race(L, f))
            return failed(L, f);
        c->step = files_send_upload;
        return op_sleep(L, &c->op, f->tries * STORE_PAUSE);
    }
    if (all_stored(L, result))
        return 1;
    call_fail(L, c, "orthanc", "not_stored",
              "the server took it, and says that it has not stored it (all of it)");
    lua_pushvalue(L, result);
    lua_setfield(L, -2, "result");
    return failed(L, f);
}

static int files_send_upload(lua_State *L, call *c)
{
    return send_source(L, c, files_on_upload);
}

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

/* ---- C-STORE of a file ---- */

static int files_on_store_straight(lua_State *L, call *c)
{
    return call_answer(L, c) == 1 ? 1 : failed(L, (file_call *)c);
}

static int files_send_store_straight(lua_State *L, call *c)
{
    return send_source(L, c, files_on_store_straight);
}

/* POST /modalities/{name}/store-straight: DICOM PS3.4 B (Storage). self source options */
int files_store_straight(lua_State *L)
{
    const remote *m = remote_check(L, 1, &remote_modality);
    file_call *f;
    lua_settop(L, 3);
    lua_getiuservalue(L, 1, REMOTE_CLIENT);
    f = push_sender(L, m->lp, 4, "store_straight", files_send_store_straight);
    lua_pushfstring(L, "/modalities/%s/store-straight", m->name);
    call_set_route(L, lua_gettop(L) - 1);
    return op_run(L, &f->call.op);
}
