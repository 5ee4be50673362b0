#include "lerror.h"

#include <ctype.h>
#include <lauxlib.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "ljson.h"
#include "orthanc.h"

#define ERROR_TYPE "modalua.Error"
#define QUOTE_MAX 400 /* bytes of a server's text that an error repeats */

/* ---- the object ---- */

/* "get /system: the server … (script.lua:3)", on one line. */
static int l_tostring(lua_State *L)
{
    luaL_Buffer b;
    lua_settop(L, 1);
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_getfield(L, 1, "op");      /* 2 */
    lua_getfield(L, 1, "path");    /* 3 */
    lua_getfield(L, 1, "message"); /* 4 */
    lua_getfield(L, 1, "where");   /* 5 */
    luaL_buffinit(L, &b);
    if (lua_isstring(L, 2)) {
        lua_pushvalue(L, 2);
        luaL_addvalue(&b);
        if (lua_isstring(L, 3)) {
            luaL_addchar(&b, ' ');
            lua_pushvalue(L, 3);
            luaL_addvalue(&b);
        }
        luaL_addstring(&b, ": ");
    }
    luaL_tolstring(L, 4, NULL);
    luaL_addvalue(&b);
    if (lua_isstring(L, 5)) {
        lua_pushvalue(L, 5);
        lua_pushfstring(L, " (%s)", lua_tostring(L, -1));
        lua_remove(L, -2);
        luaL_addvalue(&b);
    }
    luaL_pushresult(&b);
    return 1;
}

static void push_metatable(lua_State *L)
{
    if (luaL_newmetatable(L, ERROR_TYPE)) {
        lua_pushcfunction(L, l_tostring);
        lua_setfield(L, -2, "__tostring");
        lua_pushstring(L, ERROR_TYPE);
        lua_setfield(L, -2, "__metatable");
    }
}

/* The innermost line of Lua that is not our own: "script.lua:12", or nil. */
static void push_where(lua_State *L)
{
    lua_Debug ar;
    for (int level = 0; lua_getstack(L, level, &ar); level++) {
        lua_getinfo(L, "Sl", &ar);
        if (ar.currentline > 0 && strncmp(ar.source, "=modalua", 8) != 0) {
            lua_pushfstring(L, "%s:%d", ar.short_src, ar.currentline);
            return;
        }
    }
    lua_pushnil(L);
}

/* The message is on the top; the object replaces it. */
static void make_object(lua_State *L, const char *kind, const char *code)
{
    lua_createtable(L, 0, 12);
    lua_insert(L, -2);
    lua_setfield(L, -2, "message");
    lerror_set(L, "kind", kind);
    lerror_set(L, "code", code);
    push_where(L);
    lua_setfield(L, -2, "where");
    push_metatable(L);
    lua_setmetatable(L, -2);
}

void lerror_new(lua_State *L, const char *kind, const char *code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    lua_pushvfstring(L, format, args);
    va_end(args);
    make_object(L, kind, code);
}

int lerror_throw(lua_State *L, const char *kind, const char *code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    lua_pushvfstring(L, format, args);
    va_end(args);
    make_object(L, kind, code);
    return lua_error(L);
}

void lerror_set(lua_State *L, const char *field, const char *value)
{
    if (!value)
        return;
    lua_pushstring(L, value);
    lua_setfield(L, -2, field);
}

bool lerror_is(lua_State *L, int index)
{
    bool same;
    if (!lua_istable(L, index) || !lua_getmetatable(L, index))
        return false;
    luaL_getmetatable(L, ERROR_TYPE);
    same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same;
}

bool lerror_is_kind(lua_State *L, int index, const char *kind)
{
    bool same;
    if (!lerror_is(L, index))
        return false;
    lua_getfield(L, index, "kind");
    same = lua_isstring(L, -1) && strcmp(lua_tostring(L, -1), kind) == 0;
    lua_pop(L, 1);
    return same;
}

/* ---- what a transfer's failure means ---- */

typedef struct curl_row {
    CURLcode code;
    const char *kind, *name, *message;
    bool may_have_arrived; /* the server may have taken the request */
} curl_row;

static const curl_row curl_rows[] = {
    { CURLE_OPERATION_TIMEDOUT, "timeout", NULL, "no answer in time", true },
    { CURLE_COULDNT_RESOLVE_HOST, "network", "host_not_found", "no such host", false },
    { CURLE_COULDNT_RESOLVE_PROXY, "network", "host_not_found", "no such proxy", false },
    { CURLE_COULDNT_CONNECT, "network", "no_connection", "no connection", false },
    { CURLE_GOT_NOTHING, "network", "connection_lost", "the server closed the connection without an answer", true },
    { CURLE_RECV_ERROR, "network", "connection_lost", "the connection broke while the answer was awaited", true },
    { CURLE_SEND_ERROR, "network", "connection_lost", "the connection broke while the request was sent", true },
    { CURLE_PARTIAL_FILE, "network", "connection_lost", "the connection broke in the middle of the answer", true },
    { CURLE_PEER_FAILED_VERIFICATION, "network", "tls", "the server's certificate cannot be verified", false },
    { CURLE_SSL_CONNECT_ERROR, "network", "tls", "no TLS connection", false },
    { CURLE_SSL_CACERT_BADFILE, "network", "tls", "the file of the option ca cannot be used", false },
    { CURLE_SSL_CERTPROBLEM, "network", "tls", "the file of the option cert or key cannot be used", false },
    { CURLE_UNSUPPORTED_PROTOCOL, "http", "not_http", "what answers there does not speak HTTP", true },
    { CURLE_WEIRD_SERVER_REPLY, "http", "not_http", "what answers there does not speak HTTP", true },
    { CURLE_BAD_CONTENT_ENCODING, "decode", NULL, "the compressed answer is damaged", true },
};

static const curl_row *find_curl_row(CURLcode code)
{
    static const curl_row other = { CURLE_OK, "network", NULL, "the transfer failed", true };
    for (size_t i = 0; i < sizeof curl_rows / sizeof curl_rows[0]; i++)
        if (curl_rows[i].code == code)
            return &curl_rows[i];
    return &other;
}

/* Pushes a server's text on one line, and not all of it when it is long. */
static void push_quoted(lua_State *L, const char *text, size_t size)
{
    luaL_Buffer b;
    bool long_one = size > QUOTE_MAX;
    if (long_one)
        size = QUOTE_MAX;
    while (long_one && size > 0 && ((unsigned char)text[size] & 0xC0) == 0x80)
        size--; /* not in the middle of a letter */
    luaL_buffinitsize(L, &b, size + 3);
    for (size_t i = 0; i < size; i++)
        luaL_addchar(&b, iscntrl((unsigned char)text[i]) ? ' ' : text[i]);
    if (long_one)
        luaL_addstring(&b, "…");
    luaL_pushresult(&b);
}

static void set_request_fields(lua_State *L, const op *o)
{
    lerror_set(L, "op", o->name);
    lerror_set(L, "method", o->transfer.request.method);
    lerror_set(L, "path", o->transfer.request.path);
}

/* Without an answer: libcurl's code. */
static void push_curl_failure(lua_State *L, const op *o)
{
    const http_transfer *t = &o->transfer;
    const curl_row *row = find_curl_row(t->curl_code);
    bool doubt = row->may_have_arrived && t->request.side_effects;
    push_quoted(L, t->error, strlen(t->error));
    lerror_new(L, row->kind, row->name, "%s: %s%s%s%s%s", http_server_url(t->server), row->message,
               t->error[0] ? " (" : "", lua_tostring(L, -1), t->error[0] ? ")" : "",
               doubt ? "; whether the server has carried it out is not known" : "");
    lua_remove(L, -2);
    if (t->status > 0) {
        lua_pushinteger(L, t->status);
        lua_setfield(L, -2, "status");
    }
    lua_pushboolean(L, !t->request.side_effects && strcmp(row->kind, "decode") != 0);
    lua_setfield(L, -2, "retryable");
}

/* ---- Orthanc's error bodies ---- */

typedef struct described {
    int status;           /* OrthancStatus */
    int dimse;            /* -1 = none */
    const char *message;  /* both inside the decoded body, which stays on the stack; NULL = none */
    const char *details;
} described;

/* The string field `name` of the table at index, left on the stack; NULL when it is no string. */
static const char *body_string(lua_State *L, int index, const char *name)
{
    lua_getfield(L, index, name);
    return lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
}

/* 1.12.10 and later: {"Type":"Dimse","Content":{"DimseErrorStatus":n}}, or "RetrieveJob" with a list of those. 0 says nothing. */
static int payload_dimse(lua_State *L, int index)
{
    int dimse = -1, top = lua_gettop(L);
    if (lua_getfield(L, index, "ErrorPayload") == LUA_TTABLE && lua_getfield(L, -1, "Content") == LUA_TTABLE) {
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

/* Decodes the body of a failure; what it leaves on the stack keeps the strings alive. */
static described describe(lua_State *L, const op *o)
{
    const http_transfer *t = &o->transfer;
    described d = { ORTHANC_NO_STATUS, -1, NULL, NULL };
    size_t blank = t->body_size ? strspn(t->body, " \t\r\n") : 0;
    int index;

    if (t->body_size == blank)
        return d;
    d.status = ORTHANC_FOREIGN;
    luaL_checkstack(L, 12, "decoding an error");
    if (t->body[blank] != '{' || !ljson_decode(L, o->lp->mem, t->body, t->body_size))
        return d;
    index = lua_gettop(L);
    if (lua_getfield(L, index, "OrthancStatus") == LUA_TNUMBER)
        d.status = (int)lua_tointeger(L, -1);
    else if (lua_getfield(L, index, "HttpStatus") == LUA_TNUMBER)
        d.status = ORTHANC_NO_STATUS;
    d.message = body_string(L, index, "Message");
    d.details = body_string(L, index, "Details");
    d.dimse = payload_dimse(L, index);
    if (d.dimse < 0)
        d.dimse = orthanc_dimse_status(d.details);
    return d;
}

/* Pushes what failed and why, in words. */
static void push_status_message(lua_State *L, const http_transfer *t, const orthanc_failure *f, const described *d)
{
    const char *said = f->message ? f->message : d->message;
    int top = lua_gettop(L);
    if (f->code && strcmp(f->code, "redirect") == 0) {
        push_quoted(L, t->location ? t->location : "nowhere", t->location ? strlen(t->location) : 7);
        lua_pushfstring(L, "the server points elsewhere, to %s; redirects are not followed (a login page, or another path prefix?)",
                        lua_tostring(L, -1));
    } else if (said) {
        push_quoted(L, said, strlen(said));
    } else {
        lua_pushliteral(L, "the request failed");
    }
    if (d->details) {
        push_quoted(L, d->details, strlen(d->details));
        lua_pushfstring(L, "%s: %s", lua_tostring(L, -2), lua_tostring(L, -1));
    }
    if (d->status > ORTHANC_NO_STATUS)
        lua_pushfstring(L, "%s (HTTP %d, OrthancStatus %d)", lua_tostring(L, -1), (int)t->status, d->status);
    else
        lua_pushfstring(L, "%s (HTTP %d)", lua_tostring(L, -1), (int)t->status);
    lua_insert(L, top + 1);
    lua_settop(L, top + 1);
}

static void set_integer(lua_State *L, const char *field, lua_Integer value)
{
    lua_pushinteger(L, value);
    lua_setfield(L, -2, field);
}

/* An answer that is not 2xx. */
static void push_status_failure(lua_State *L, const op *o)
{
    const http_transfer *t = &o->transfer;
    int top = lua_gettop(L);
    described d = describe(L, o);
    orthanc_failure f = orthanc_classify(t->request.method, t->request.path, t->status, d.status,
                                         http_server_has_credentials(t->server));
    push_status_message(L, t, &f, &d);
    make_object(L, f.kind, f.code);
    set_integer(L, "status", (lua_Integer)t->status);
    if (d.status > ORTHANC_NO_STATUS)
        set_integer(L, "orthanc_status", d.status);
    if (d.dimse >= 0)
        set_integer(L, "dimse_status", d.dimse);
    lerror_set(L, "details", d.details);
    lua_pushboolean(L, f.retryable);
    lua_setfield(L, -2, "retryable");
    lua_insert(L, top + 1);
    lua_settop(L, top + 1);
}

int lerror_transfer(lua_State *L, op *o)
{
    switch (o->transfer.fault) {
    case HTTP_TOO_LARGE:
        lerror_new(L, "limit", "body", "the answer is larger than the %d MiB that one answer may have", (int)(HTTP_BODY_MAX >> 20));
        set_request_fields(L, o);
        return lua_error(L);
    case HTTP_NO_MEMORY:
        lerror_new(L, "limit", "memory", "not enough memory for the answer");
        set_request_fields(L, o);
        return lua_error(L);
    case HTTP_CURL:
        push_curl_failure(L, o);
        break;
    case HTTP_OK:
        push_status_failure(L, o);
        break;
    }
    set_request_fields(L, o);
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
}
