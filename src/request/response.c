#include "request/response.h"

#include <lauxlib.h>
#include <string.h>

#include "base/ascii.h"
#include "base/utf8.h"
#include "base/zip.h"
#include "binding/error.h"
#include "engine/op.h"
#include "http/body.h"
#include "json/decode.h"
#include "orthanc/dimse.h"
#include "orthanc/failures.h"
#include "request/page_title.h"
#include "request/redact.h"

#define QUOTE_MAX 400 /* bytes of a server's text that an error message repeats */

/* ---- requests without an answer ---- */

typedef struct curl_row {
    CURLcode code;
    const char *kind, *name, *message;
    bool may_have_arrived; /* the server may have taken the request */
} curl_row;

/* clang-format off */
static const curl_row curl_rows[] = {
    { CURLE_OPERATION_TIMEDOUT, "timeout", NULL, "no answer within the time limit", true },
    { CURLE_COULDNT_RESOLVE_HOST, "network", "host_not_found", "the host name cannot be resolved", false },
    { CURLE_COULDNT_RESOLVE_PROXY, "network", "host_not_found", "the proxy's host name cannot be resolved", false },
    { CURLE_COULDNT_CONNECT, "network", "no_connection", "no connection could be made", false },
    { CURLE_GOT_NOTHING, "network", "connection_lost", "the server closed the connection without an answer", true },
    { CURLE_RECV_ERROR, "network", "connection_lost", "the connection was lost before the answer came", true },
    { CURLE_SEND_ERROR, "network", "connection_lost", "the connection was lost while the request was sent", true },
    { CURLE_PARTIAL_FILE, "network", "connection_lost", "the connection was lost in the middle of the answer", true },
    { CURLE_PEER_FAILED_VERIFICATION, "network", "tls", "the server's certificate cannot be verified (option ca; at the shell --ca or MODALUA_CA, or --insecure for no check)", false },
    { CURLE_SSL_CONNECT_ERROR, "network", "tls", "no TLS connection could be made", false },
    { CURLE_SSL_CACERT_BADFILE, "network", "tls", "the file of certificate authorities cannot be used (option ca; without it, that of the package ca-certificates)", false },
    { CURLE_SSL_CERTPROBLEM, "network", "tls", "the file of the option cert or key cannot be used", false },
    { CURLE_SSL_CLIENTCERT, "network", "tls", "the server wants another client certificate (options cert and key)", false },
    { CURLE_URL_MALFORMAT, "network", NULL, "the proxy of the environment cannot be used", false },
    { CURLE_UNSUPPORTED_PROTOCOL, "http", "not_http", "the server at this address does not speak HTTP", true },
    { CURLE_WEIRD_SERVER_REPLY, "http", "not_http", "the server at this address does not speak HTTP", true },
    { CURLE_OUT_OF_MEMORY, "http", NULL, "libcurl gave up: a header is too long, or there is not enough memory", true },
    { (CURLcode)100, "http", NULL, "libcurl gave up: a header is too long", true }, /* CURLE_TOO_LARGE, since libcurl 8.6 */
    { CURLE_BAD_CONTENT_ENCODING, "decode", NULL, "the compressed answer is damaged", true },
};
/* clang-format on */

static const curl_row *find_curl_row(CURLcode code)
{
    static const curl_row other = { CURLE_OK, "network", NULL, "the transfer failed", true };
    for (size_t i = 0; i < sizeof curl_rows / sizeof curl_rows[0]; i++)
        if (curl_rows[i].code == code)
            return &curl_rows[i];
    return &other;
}

void response_push_quoted(lua_State *L, const char *text, size_t size)
{
    luaL_Buffer b;
    size_t shown = utf8_truncate(text, size, QUOTE_MAX);
    luaL_buffinitsize(L, &b, shown + 3);
    for (size_t i = 0; i < shown; i++)
        luaL_addchar(&b, ascii_is_control(text[i]) ? ' ' : text[i]);
    if (shown < size)
        luaL_addstring(&b, "…");
    luaL_pushresult(&b);
}

/* Whether the request can have had effects on the server. An answer that goes into a file is all that
 * was asked for. */
static bool has_effects(const http_transfer *t)
{
    return t->request.side_effects && !t->request.sink &&
           orthanc_has_effects(t->request.method, t->request.path);
}

void response_set_unknown(lua_State *L)
{
    if (error_is_kind(L, -1, "unknown"))
        return;
    lua_getfield(L, -1, "kind");
    lua_setfield(L, -2, "code");
    error_set(L, "kind", "unknown");
}

static void add_to_message(lua_State *L, const char *words)
{
    if (!words)
        return;
    lua_getfield(L, -1, "message");
    lua_pushfstring(L, "%s; %s", lua_tostring(L, -1), words);
    lua_setfield(L, -3, "message");
    lua_pop(L, 1);
}

void response_add_dicom_words(lua_State *L, int dimse, dimse_service service, const char *details)
{
    add_to_message(L, dimse > 0 ? dimse_words(dimse, service) : dimse_network_words(details));
}

/* The server may have carried out what the error on the top is about. */
static void set_outcome_unknown(lua_State *L)
{
    response_set_unknown(L);
    add_to_message(L, "whether the server has carried it out is not known");
}

static void set_request_fields(lua_State *L, const op *o)
{
    error_set(L, "op", o->name);
    error_set(L, "method", o->transfer.request.method);
    error_set(L, "path", o->transfer.request.path);
}

/* Sets the fields that say whether the request can be repeated: retryable, retry_after and tries. */
static void set_transfer_fields(lua_State *L, const op *o)
{
    const http_transfer *t = &o->transfer;
    set_request_fields(L, o);
    lua_pushboolean(L, !t->request.side_effects && http_is_transient(t));
    lua_setfield(L, -2, "retryable");
    if (t->retry_after > 0)
        error_set_integer(L, "retry_after", (lua_Integer)t->retry_after);
    if (o->retry.tries < 2)
        return;
    error_set_integer(L, "tries", (lua_Integer)o->retry.tries);
    lua_getfield(L, -1, "message");
    lua_pushfstring(L, "%s (%d tries)", lua_tostring(L, -1), (int)o->retry.tries);
    lua_setfield(L, -3, "message");
    lua_pop(L, 1);
}

/* There is no answer, but a code of libcurl. */
static void push_curl_failure(lua_State *L, const op *o)
{
    const http_transfer *t = &o->transfer;
    const curl_row *row = find_curl_row(t->curl_code);
    response_push_quoted(L, t->error, strlen(t->error));
    error_new(L, row->kind, row->name, "%s: %s%s%s%s", http_server_url(t->server), row->message,
              t->error[0] ? " (" : "", lua_tostring(L, -1), t->error[0] ? ")" : "");
    lua_remove(L, -2);
    if (row->may_have_arrived && has_effects(t))
        set_outcome_unknown(L);
    if (t->status > 0)
        error_set_integer(L, "status", (lua_Integer)t->status);
}

/* The file that is sent or received failed. Its owner adds its name (api/files.c). */
static void push_file_failure(lua_State *L, const op *o)
{
    const http_file *source = o->transfer.request.source, *sink = o->transfer.request.sink;
    const http_file *f = source && (source->error || !sink) ? source : sink;
    const char *what = f == source ? "read" : "written";
    const char *it = f && f->stream ? "stream" : "file";
    if (f && f->error)
        error_new(L, "refused", "file", "the %s cannot be %s: %s", it, what, strerror(f->error));
    else
        error_new(L, "refused", "file", "the %s became shorter while it was read", it);
}

/* No byte came for too long, in the middle of the answer or of the request. A server that lacks the end
 * of a request has not carried it out. */
static void push_stall(lua_State *L, const op *o)
{
    error_new(L, "timeout", NULL, "%s: nothing came through for %f s in the middle of the transfer",
              http_server_url(o->transfer.server),
              (LUAI_UACNUMBER)o->transfer.request.stall_timeout);
}

static void push_large_head(lua_State *L, const http_transfer *t)
{
    error_new(L, "http", NULL, "%s: the head of the answer is too large",
              http_server_url(t->server));
    if (has_effects(t))
        set_outcome_unknown(L);
}

/* Nothing was sent. */
static void push_refusal(lua_State *L, const http_transfer *t)
{
    error_new(L, "refused", t->refusal, "%s", t->error);
}

/* ---- Orthanc's error bodies ---- */

typedef struct error_body {
    int status; /* OrthancStatus */
    int dimse;  /* DIMSE status; -1 = none */
    /* Texts of the decoded body, which stays on the stack; NULL = none. */
    const char *message, *details;
} error_body;

/* Pushes the field `name` of the table at index. Returns its text; NULL when it is no string. */
static const char *push_text_field(lua_State *L, int index, const char *name)
{
    lua_getfield(L, index, name);
    return lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
}

/* 1.12.10 and later write {"Type":"Dimse","Content":{"DimseErrorStatus":n}}, or "RetrieveJob" with a
 * list of these contents. 0 is no error. */
int response_payload_dimse(lua_State *L, int index)
{
    int dimse = -1, top = lua_gettop(L);
    index = lua_absindex(L, index);
    if (lua_getfield(L, index, "ErrorPayload") == LUA_TTABLE &&
        lua_getfield(L, -1, "Content") == LUA_TTABLE) {
        if (lua_geti(L, -1, 1) != LUA_TTABLE)
            lua_pop(L, 1); /* not a list */
        for (lua_Integer i = 2; dimse <= 0 && lua_istable(L, -1); i++) {
            lua_getfield(L, -1, "DimseErrorStatus");
            dimse = lua_isinteger(L, -1) ? (int)lua_tointeger(L, -1) : -1;
            lua_geti(L, top + 2, i);
        }
    }
    lua_settop(L, top);
    return dimse > 0 ? dimse : -1;
}

/* Decodes the body of an answer that reports an error. Leaves values on the stack, which keep the
 * strings alive. */
static error_body decode_error_body(lua_State *L, const op *o)
{
    const http_transfer *t = &o->transfer;
    error_body d = { ORTHANC_NO_STATUS, -1, NULL, NULL };
    size_t blank = t->body_size ? strspn(t->body, " \t\r\n") : 0;
    int index;

    if (t->body_size == blank)
        return d;
    d.status = ORTHANC_FOREIGN;
    luaL_checkstack(L, 12, "decoding an error");
    if (t->body[blank] != '{' || !json_decode(L, o->lp->memory, t->body, t->body_size))
        return d;
    index = lua_gettop(L);
    if (lua_getfield(L, index, "OrthancStatus") == LUA_TNUMBER)
        d.status = (int)lua_tointeger(L, -1);
    else if (lua_getfield(L, index, "HttpStatus") == LUA_TNUMBER)
        d.status = ORTHANC_NO_STATUS;
    d.message = push_text_field(L, index, "Message");
    d.details = push_text_field(L, index, "Details");
    if (d.details) {
        error_push_redacted(L, d.details);
        d.details = lua_tostring(L, -1);
    }
    d.dimse = response_payload_dimse(L, index);
    if (d.dimse < 0)
        d.dimse = orthanc_dimse_status(d.details);
    return d;
}

/* Adds the title of the answer, when it is an HTML page, to the message on the top. */
static void add_page_title(lua_State *L, const http_transfer *t)
{
    if (strcmp(t->content_type, "text/html") != 0)
        return;
    page_title_push(L, t->body, t->body_size);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        return;
    }
    error_push_redacted(L, lua_tostring(L, -1));
    lua_pushfstring(L, "%s; the title of the page is \"%s\"", lua_tostring(L, -3),
                    lua_tostring(L, -1));
    lua_replace(L, -4);
    lua_pop(L, 2);
}

/* Pushes the message of an error: the text for its kind or the server's own, the details, and the
 * statuses. */
static void push_status_message(lua_State *L, const http_transfer *t, const orthanc_failure *f,
                                const error_body *d)
{
    const char *said = f->message ? f->message : d->message;
    int top = lua_gettop(L);
    if (f->code && strcmp(f->code, "redirect") == 0) {
        error_push_redacted(L, t->location ? t->location
                                           : "nowhere"); /* libcurl adds our user and password */
        response_push_quoted(L, lua_tostring(L, -1), lua_rawlen(L, -1));
        lua_pushfstring(L,
                        "the server redirects to %s, and redirects are not followed (a login page, "
                        "or another path prefix?)",
                        lua_tostring(L, -1));
    } else if (said) {
        error_push_redacted(L, said);
        response_push_quoted(L, lua_tostring(L, -1), lua_rawlen(L, -1));
    } else {
        lua_pushliteral(L, "the request failed");
    }
    if (d->details) {
        response_push_quoted(L, d->details, strlen(d->details));
        lua_pushfstring(L, "%s: %s", lua_tostring(L, -2), lua_tostring(L, -1));
    }
    add_page_title(L, t);
    if (d->status > ORTHANC_NO_STATUS)
        lua_pushfstring(L, "%s (HTTP %d, OrthancStatus %d)", lua_tostring(L, -1), (int)t->status,
                        d->status);
    else
        lua_pushfstring(L, "%s (HTTP %d)", lua_tostring(L, -1), (int)t->status);
    lua_insert(L, top + 1);
    lua_settop(L, top + 1);
}

/* The answer has a status that is not 2xx. */
static void push_status_failure(lua_State *L, const op *o)
{
    const http_transfer *t = &o->transfer;
    int top = lua_gettop(L);
    error_body d = decode_error_body(L, o);
    orthanc_failure f = orthanc_classify(t->request.path, t->status, d.status, has_effects(t),
                                         http_server_has_credentials(t->server));
    if (orthanc_is_bad_charset(d.details)) {
        f.code = "bad_charset";
        f.message = "an answer of the modality, or the query, names a character set that this "
                    "version of Orthanc does not know";
    }
    push_status_message(L, t, &f, &d);
    error_from_message(L, f.kind, f.code);
    if (strcmp(f.kind, "unknown") == 0)
        set_outcome_unknown(L);
    if (t->status == 401)
        add_to_message(L, http_server_unsent(t->server));
    if (strcmp(f.kind, "dicom") == 0)
        response_add_dicom_words(L, d.dimse, dimse_service_of_path(t->request.path), d.details);
    error_set_integer(L, "status", (lua_Integer)t->status);
    if (d.status > ORTHANC_NO_STATUS)
        error_set_integer(L, "orthanc_status", d.status);
    if (d.dimse >= 0)
        error_set_integer(L, "dimse_status", d.dimse);
    error_set(L, "details", d.details);
    lua_insert(L, top + 1);
    lua_settop(L, top + 1);
}

/* What makes the answer smaller. */
static const char *smaller(const op *o)
{
    const char *path = o->transfer.request.path;
    if (strncmp(path, "/queries/", 9) == 0)
        return "; narrow the search, for example by StudyDate, or walk it with find_all";
    if (strstr(path, "/find-worklist") || strncmp(path, "/tools/find", 11) == 0)
        return "; narrow the search, for example by a range of dates";
    return "";
}

/* Throws: the answer, or the value that is made from it, does not fit into memory. The message is on the
 * top. */
static _Noreturn void throw_no_room(lua_State *L, op *o, const char *code)
{
    error_new(L, "limit", code, "%s%s", lua_tostring(L, -1), smaller(o));
    set_transfer_fields(L, o);
    op_throw(L, o);
}

/* Pushes nil and the error of the op's transfer, and returns 2. Throws kind "limit" when the answer did
 * not fit into memory. */
static int push_failure(lua_State *L, op *o)
{
    size_t kilobytes;
    switch (o->transfer.fault) {
    case HTTP_TOO_LARGE:
        lua_pushliteral(L, "the answer is larger than half of this machine's memory");
        throw_no_room(L, o, "body");
    case HTTP_NO_MEMORY:
        kilobytes = o->transfer.body_size / 1024;
        body_drop(&o->transfer);
        if (kilobytes > 0)
            lua_pushfstring(L, "not enough memory for the answer: it has more than %I KB",
                            (LUAI_UACINT)kilobytes);
        else
            lua_pushliteral(L, "not enough memory for the request, or for its answer");
        throw_no_room(L, o, "memory");
    case HTTP_CURL: push_curl_failure(L, o); break;
    case HTTP_HEAD: push_large_head(L, &o->transfer); break;
    case HTTP_FILE: push_file_failure(L, o); break;
    case HTTP_STALLED: push_stall(L, o); break;
    case HTTP_REFUSED: push_refusal(L, &o->transfer); break;
    case HTTP_OK: push_status_failure(L, o); break;
    }
    set_transfer_fields(L, o);
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
}

/* ---- answers ---- */

int response_fail(lua_State *L, const op *o, const char *kind, const char *message)
{
    lua_pushnil(L);
    error_new(L, kind, NULL, "%s", message);
    set_request_fields(L, o);
    return 2;
}

int response_fail_cut(lua_State *L, const op *o)
{
    response_fail(L, o, "network",
                  "the connection was lost in the middle of the archive: its end is missing");
    error_set(L, "code", "connection_lost");
    lua_pushboolean(L, !o->transfer.request.side_effects);
    lua_setfield(L, -2, "retryable");
    return 2;
}

/* Whether the answer, in memory, is an archive without an end. */
static bool lacks_zip_end(const http_transfer *t)
{
    return strcmp(t->content_type, ZIP_TYPE) == 0 && !t->request.sink &&
           !zip_has_end(t->body, t->body_size);
}

static bool is_json(const char *type)
{
    size_t n = strlen(type);
    return strcmp(type, "application/json") == 0 || (n > 5 && strcmp(type + n - 5, "+json") == 0);
}

static bool is_xml(const char *type)
{
    return strstr(type, "xml") != NULL;
}

/* The answer is not what it should be, although its status is good. */
static int fail_decode(lua_State *L, const op *o, const char *code, const char *message)
{
    response_fail(L, o, "decode", message);
    error_set(L, "code", code);
    if (has_effects(&o->transfer)) {
        set_outcome_unknown(L);
        lua_pushboolean(L, 0);
        lua_setfield(L, -2, "retryable");
    }
    return 2;
}

/* Removes what is between the index `top` and nil and the error on the top. */
static int keep_failure(lua_State *L, int top)
{
    lua_rotate(L, top + 1, 2);
    lua_settop(L, top + 2);
    return 2;
}

/* Pushes the message about an answer that is not what it should be. [-0, +1, m] */
static void push_difference(lua_State *L, const char *path, const char *difference)
{
    response_push_quoted(L, path, strcspn(path, "?"));
    lua_pushfstring(L, "unexpected response from %s: %s", lua_tostring(L, -1), difference);
    lua_remove(L, -2);
}

/* A login page of a proxy is text/html, with status 200. */
int response_push_data(lua_State *L, op *o)
{
    const http_transfer *t = &o->transfer;
    if (t->fault != HTTP_OK || t->status < 200 || t->status > 299 ||
        strcmp(t->content_type, "text/html") != 0)
        return response_push(L, o);
    lua_pushliteral(L, "the answer is an HTML page, which Orthanc never sends here: is it a login "
                       "page, or another server?");
    add_page_title(L, t);
    fail_decode(L, o, "not_orthanc", lua_tostring(L, -1));
    lua_remove(L, -3);
    error_set_integer(L, "status", (lua_Integer)t->status);
    return 2;
}

int response_push(lua_State *L, op *o)
{
    http_transfer *t = &o->transfer;
    json_body body = { &t->body, &t->body_size, &t->body_room };
    bool redacts =
        !o->wants_secrets && redact_is_needed(http_server_path(t->server), t->request.path);
    int top = lua_gettop(L);
    if (t->fault != HTTP_OK || t->status < 200 || t->status > 299)
        return push_failure(L, o);
    if (lacks_zip_end(t))
        return response_fail_cut(L, o);
    if (redacts && is_xml(t->content_type)) {
        fail_decode(L, o, NULL,
                    "the answer is XML, in which secrets cannot be hidden (the header 'Accept' of "
                    "this client asks for it): ask for JSON");
        return 2;
    }
    if (redacts && t->request.sink && is_json(t->content_type)) {
        fail_decode(L, o, NULL,
                    "the answer can have passwords of other servers, which cannot be hidden in a "
                    "file: use client:get, which hides them");
        return 2;
    }
    if (!is_json(t->content_type) || t->body_size == 0) {
        lua_pushlstring(L, t->body ? t->body : "", t->body_size);
        return 1;
    }
    switch (json_decode_body(L, o->lp->memory, &body)) {
    case JSON_DECODED:
        if (redacts)
            redact_value(L, -1);
        return 1;
    case JSON_NO_ROOM: throw_no_room(L, o, "memory");
    case JSON_FAULTY: break;
    }
    lua_pushfstring(L, "the answer is not JSON: %s", lua_tostring(L, -1));
    fail_decode(L, o, NULL, lua_tostring(L, -1));
    return keep_failure(L, top);
}

int response_push_shape(lua_State *L, op *o, shape s)
{
    int top = lua_gettop(L);
    if (response_push_data(L, o) != 1)
        return 2;
    if (o->transfer.status != 200) /* of a gateway: Orthanc has no other status for yes */
        lua_pushfstring(L, "its HTTP status is %d, not 200", (int)o->transfer.status);
    else if (shape_is_text(s) && is_json(o->transfer.content_type))
        lua_pushliteral(L, "it is JSON, not a text");
    else if (!shape_differs(L, top + 1, s))
        return 1;
    response_fail_shape(L, o, lua_tostring(L, -1));
    return keep_failure(L, top);
}

int response_fail_shape(lua_State *L, const op *o, const char *difference)
{
    int top = lua_gettop(L);
    push_difference(L, o->transfer.request.path, difference);
    fail_decode(L, o, NULL, lua_tostring(L, -1));
    error_set_integer(L, "status", (lua_Integer)o->transfer.status);
    return keep_failure(L, top);
}

void response_push_unexpected(lua_State *L, const char *method, const char *path,
                              const char *difference)
{
    push_difference(L, path, difference);
    error_from_message(L, "decode", NULL);
    error_set(L, "method", method);
    error_set(L, "path", path);
    if (orthanc_has_effects(method, path))
        set_outcome_unknown(L);
}
