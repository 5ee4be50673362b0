/* mutate_answers.c - changes of a whole answer: its body, its status, the way it is sent. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "mutate.h"

#define HTML \
    "<html><head><title>Bad Gateway</title></head><body><h1>Please sign in</h1></body></html>"
#define ORTHANC                                                                                  \
    "{\"HttpError\":\"Internal Server Error\",\"HttpStatus\":500,\"Message\":\"Error in the "    \
    "network protocol\",\"Method\":\"POST\",\"OrthancError\":\"Error in the network protocol\"," \
    "\"OrthancStatus\":9,\"Uri\":\"/x\"}"
#define GATEWAY "{\"message\":\"Service Unavailable\",\"code\":503,\"request_id\":\"af01\"}"

static void set(text *t, const char *value)
{
    text_free(t);
    text_puts(t, value);
}

/* ---- the body ---- */

static const struct {
    const char *name, *type, *body; /* NULL: as it is */
} bodies[] = {
    { "empty", NULL, "" },
    { "null", NULL, "null" },
    { "list", NULL, "[]" },
    { "object", NULL, "{}" },
    { "string", NULL, "\"text\"" },
    { "number", NULL, "7" },
    { "text", "text/plain", "OK" },
    { "no-json", NULL, "OK" },
    { "html", "text/html", HTML },
    { "html-as-json", "application/json", HTML },
    { "html-as-text", "text/plain", HTML },
    { "html-as-bytes", "application/octet-stream", HTML },
    { "html-without-type", "", HTML },
    { "orthanc-error", "application/json", ORTHANC },
    { "gateway-error", "application/json", GATEWAY },
    { "type-text", "text/plain", NULL },
    { "type-html", "text/html", NULL },
    { "type-bytes", "application/octet-stream", NULL },
    { "type-zip", "application/zip", NULL },
    { "type-json", "application/json", NULL },
    { "type-problem+json", "application/problem+json", NULL },
    { "type-dicom+json", "application/dicom+json; charset=utf-8", NULL },
    { "type-unknown", "nonsense", NULL },
    { "type-none", "", NULL },
};

static bool change_body(reply *r, const char *change)
{
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        if (strcmp(bodies[i].name, change) == 0) {
            const bool changes = (bodies[i].type && strcmp(bodies[i].type, r->type.data) != 0) ||
                                 (bodies[i].body && strcmp(bodies[i].body, r->body.data) != 0);
            if (bodies[i].type)
                set(&r->type, bodies[i].type);
            if (bodies[i].body)
                set(&r->body, bodies[i].body);
            return changes;
        }
    return false;
}

/* ---- the body as bytes ---- */

static void compress_body(reply *r)
{
    z_stream z = { 0 };
    text t = { 0 };
    if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        abort();
    t.room = deflateBound(&z, r->body.size) + 1;
    t.data = malloc(t.room);
    if (!t.data)
        abort();
    z.next_in = (Bytef *)r->body.data;
    z.avail_in = (uInt)r->body.size;
    z.next_out = (Bytef *)t.data;
    z.avail_out = (uInt)t.room;
    deflate(&z, Z_FINISH);
    t.size = z.total_out;
    deflateEnd(&z);
    text_free(&r->body);
    r->body = t;
}

static void cut_byte(reply *r)
{
    r->body.size -= r->body.size > 0;
}

static void cut_half(reply *r)
{
    r->body.size /= 2;
}

static void body_twice(reply *r)
{
    text t = { 0 };
    text_add(&t, r->body.data, r->body.size);
    text_add(&r->body, t.data, t.size);
    text_free(&t);
}

static void with_bom(reply *r)
{
    text t = { 0 };
    text_puts(&t, "\xEF\xBB\xBF");
    text_add(&t, r->body.data, r->body.size);
    text_free(&r->body);
    r->body = t;
}

static void gzip(reply *r)
{
    text_puts(&r->more, "Content-Encoding: gzip\r\n");
    compress_body(r);
}

static void gzip_cut(reply *r)
{
    gzip(r);
    cut_half(r);
}

static void gzip_lie(reply *r)
{
    text_puts(&r->more, "Content-Encoding: gzip\r\n");
}

static void encoding_unknown(reply *r)
{
    text_puts(&r->more, "Content-Encoding: rot13\r\n");
}

static const struct {
    const char *name;
    void (*change)(reply *r);
} bytes[] = {
    { "cut-byte", cut_byte },
    { "cut-half", cut_half },
    { "twice", body_twice },
    { "bom", with_bom },
    { "gzip", gzip },
    { "gzip-cut", gzip_cut },
    { "gzip-lie", gzip_lie },
    { "gzip-unsaid", compress_body },
    { "encoding-unknown", encoding_unknown },
};

static bool change_bytes(reply *r, const char *change)
{
    for (size_t i = 0; i < sizeof bytes / sizeof *bytes; i++)
        if (strcmp(bytes[i].name, change) == 0) {
            const size_t size = r->body.size, more = r->more.size;
            bytes[i].change(r);
            return r->body.size != size || r->more.size != more;
        }
    return false;
}

/* ---- the status ---- */

static const int statuses[] = { 200, 201, 202, 203, 204, 205, 206, 299, 300, 301,
                                302, 303, 304, 307, 308, 400, 401, 403, 404, 405,
                                406, 407, 408, 409, 410, 413, 415, 418, 422, 429,
                                500, 501, 502, 503, 504, 505, 520, 599, 600, 999 };

/* Redirections with a Location. */
static const struct {
    const char *name, *to;
    int status;
} moved[] = {
    { "301-to-root", "/", 301 },
    { "302-to-page", "/app/explorer.html", 302 },
    { "307-to-system", "/system", 307 },
    { "308-to-elsewhere", "http://127.0.0.1:1/", 308 },
    { "302-to-nonsense", "::nonsense::", 302 },
};

static bool change_status(reply *r, const char *change)
{
    int status = atoi(change);
    for (size_t i = 0; i < sizeof moved / sizeof *moved; i++)
        if (strcmp(moved[i].name, change) == 0)
            text_addf(&r->more, "Location: %s\r\n", moved[i].to);
    if (r->status == status)
        return false;
    r->status = status;
    return true;
}

/* ---- the wire ---- */

static const struct {
    const char *name;
    framing framing;
} framings[] = {
    { "closed", NOTHING },
    { "closed-in-head", HALF_OF_HEAD },
    { "reset", RESET },
    { "not-http", NOT_HTTP },
    { "chunks", CHUNKED },
    { "chunks-wrong", CHUNKS_WRONG },
    { "chunks-cut", CHUNKS_CUT },
    { "short", TOO_SHORT },
    { "too-long", TOO_LONG },
    { "no-length", WITHOUT_LENGTH },
    { "half-without-length", HALF_WITHOUT_LENGTH },
    { "length-is-word", LENGTH_IS_WORD },
};

static bool change_framing(reply *r, const char *change)
{
    for (size_t i = 0; i < sizeof framings / sizeof *framings; i++)
        if (strcmp(framings[i].name, change) == 0)
            r->framing = framings[i].framing;
    return r->framing != WITH_LENGTH;
}

/* ---- all of them ---- */

bool answers_change(reply *r, const char *change)
{
    return (change[0] >= '1' && change[0] <= '9' && change_status(r, change)) ||
           change_body(r, change) || change_bytes(r, change) || change_framing(r, change);
}

void answers_each_change(void (*f)(void *context, const char *name), void *context)
{
    char name[16];
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        f(context, bodies[i].name);
    for (size_t i = 0; i < sizeof bytes / sizeof *bytes; i++)
        f(context, bytes[i].name);
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        snprintf(name, sizeof name, "%d", statuses[i]);
        f(context, name);
    }
    for (size_t i = 0; i < sizeof moved / sizeof *moved; i++)
        f(context, moved[i].name);
    for (size_t i = 0; i < sizeof framings / sizeof *framings; i++)
        f(context, framings[i].name);
}
