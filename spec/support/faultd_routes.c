/* faultd_routes.c - the behaviours; the comment at the top of faultd.c lists them. */
#include "faultd.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define ZLIB_CONST /* next_in points to const */
#include <zlib.h>

enum { HOLD_MILLISECONDS = 60000 };

/* ---- plain answers ---- */

static void do_echo(exchange *x)
{
    text t = echo_text(x);
    answer_json(x, &t);
}

static void do_status(exchange *x)
{
    text type = argument(x, "type", JSON_TYPE), body = argument(x, "body", ""), more = { 0 };
    text after = argument(x, "retry_after", "");
    text_puts(&more, "");
    if (type.size) {
        text_puts(&more, "Content-Type: ");
        text_puts(&more, type.data);
        text_puts(&more, "\r\n");
    }
    if (after.size)
        text_addf(&more, "Retry-After: %s\r\n", after.data);
    answer(x, (int)number(x, "code", 500), more.data, &body);
    text_free(&type);
    text_free(&after);
    text_free(&more);
}

static void do_redirect(exchange *x)
{
    text to = argument(x, "to", "/ok"), more = { 0 };
    text_puts(&more, "Location: ");
    text_add(&more, to.data, to.size);
    text_puts(&more, "\r\n");
    answer_empty(x, (int)number(x, "code", 302), more.data);
    text_free(&to);
    text_free(&more);
}

static text base64(const text *from)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    text t = { 0 };
    for (size_t i = 0; i < from->size; i += 3) {
        const unsigned char *p = (const unsigned char *)from->data + i;
        const size_t left = from->size - i;
        const unsigned bits =
            (unsigned)p[0] << 16 | (left > 1 ? (unsigned)p[1] << 8 : 0) | (left > 2 ? p[2] : 0);
        const char four[] = { digits[bits >> 18], digits[bits >> 12 & 63],
                              left > 1 ? digits[bits >> 6 & 63] : '=',
                              left > 2 ? digits[bits & 63] : '=' };
        text_add(&t, four, 4);
    }
    return t;
}

static void do_auth(exchange *x)
{
    text want = argument(x, "user", ""), password = argument(x, "password", ""), coded;
    const char *got = header(x, "authorization");
    text_puts(&want, ":");
    text_add(&want, password.data, password.size);
    coded = base64(&want);
    if (strncasecmp(got, "Basic ", 6) == 0 && strcmp(got + 6, coded.data) == 0)
        do_ok(x);
    else
        answer_empty(x, 401, "WWW-Authenticate: Basic realm=\"Orthanc Secure Area\"\r\n");
    text_free(&want);
    text_free(&password);
    text_free(&coded);
}

static void do_bearer(exchange *x)
{
    text token = argument(x, "token", "");
    const char *got = header(x, "authorization");
    if (strncasecmp(got, "Bearer ", 7) == 0 && strcmp(got + 7, token.data) == 0)
        do_ok(x);
    else
        answer_empty(x, 401, "WWW-Authenticate: Bearer\r\n");
    text_free(&token);
}

static void do_big(exchange *x)
{
    const unsigned long long bytes = (unsigned long long)number(x, "bytes", 1000000);
    send_head(x, 200, "Content-Type: application/octet-stream\r\n", (long long)bytes, NULL);
    send_run(x->c, 'x', bytes);
}

static void do_bigjson(exchange *x)
{
    unsigned long long n = (unsigned long long)number(x, "n", 1000);
    text piece = { 0 };
    send_head(x, 200, "Content-Type: " JSON_TYPE "\r\n", n > 0 ? (long long)(3 * n + 1) : 2, NULL);
    text_puts(&piece, "[");
    for (; n > 0 && !x->c->last; n--) {
        text_add(&piece, "{},", n > 1 ? 3 : 2);
        if (piece.size >= PIECE) {
            send_all(x->c, piece.data, piece.size);
            piece.size = 0;
        }
    }
    text_puts(&piece, "]");
    send_all(x->c, piece.data, piece.size);
    text_free(&piece);
}

static void do_answers(exchange *x)
{
    const unsigned long n = (unsigned long)number(x, "n", 1000);
    text t = { 0 };
    text_puts(&t, "[");
    for (unsigned long i = 1; i <= n; i++) {
        text_addf(&t,
                  "%s\n   {\n      \"AccessionNumber\" : \"A%07lu\",\n      \"PatientID\" : "
                  "\"P%06lu\",\n",
                  i > 1 ? "," : "", i, i);
        text_addf(&t,
                  "      \"PatientName\" : \"Sample%lu^M\\u00fcller\",\n      "
                  "\"QueryRetrieveLevel\" : \"STUDY\",\n",
                  i);
        text_addf(&t, "      \"RetrieveAETitle\" : \"PACS\",\n      \"SpecificCharacterSet\" : "
                      "\"ISO_IR 100\",\n");
        text_addf(&t,
                  "      \"StudyDescription\" : \"Chest\",\n      \"StudyInstanceUID\" : "
                  "\"1.2.276.0.7230010.3.1.2.%lu\"\n   }",
                  i);
    }
    text_addf(&t, "%s]", n > 0 ? "\n" : "");
    answer_json(x, &t);
}

/* ---- late, partial and missing answers ---- */

/* Waits for `seconds`; a negative number means without limit. Returns true at once when the client
 * closes the connection. */
static bool gone_within(conn *c, double seconds)
{
    struct pollfd p = { c->fd, POLLRDHUP, 0 };
    if (poll(&p, 1, seconds < 0 ? -1 : (int)(seconds * 1000)) == 0)
        return false;
    c->last = true;
    return true;
}

/* Makes the close of the connection a TCP reset. Bytes that the kernel has not sent yet are lost. */
static void reset_connection(conn *c)
{
    const struct linger at_once = { 1, 0 };
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    c->last = true;
}

static void do_drop(exchange *x)
{
    if ((double)x->c->nth >= number(x, "after", 1))
        x->c->last = true;
    else
        do_ok(x);
}

static void do_drop_reused(exchange *x)
{
    if (x->c->nth > 1)
        x->c->last = true;
    else
        do_ok(x);
}

static void do_delay(exchange *x)
{
    text body = argument(x, "body", "{}");
    if (!gone_within(x->c, number(x, "s", 0.5)))
        answer_json(x, &body);
    else
        text_free(&body);
}

static void do_hang(exchange *x)
{
    gone_within(x->c, -1);
}

typedef struct barrier {
    struct barrier *next;
    char *name;
    unsigned n, inside;
    int open; /* an eventfd, which becomes readable when the barrier opens */
    bool released;
} barrier;

static pthread_mutex_t barrier_lock = PTHREAD_MUTEX_INITIALIZER;
static barrier *barriers;

static barrier *barrier_enter(const char *name, unsigned n)
{
    barrier *b;
    pthread_mutex_lock(&barrier_lock);
    for (b = barriers; b && (b->released || b->n != n || strcmp(b->name, name) != 0);)
        b = b->next;
    if (!b) {
        b = calloc(1, sizeof *b);
        if (!b || !(b->name = strdup(name)) || (b->open = eventfd(0, EFD_CLOEXEC)) < 0)
            abort();
        b->n = n;
        b->next = barriers;
        barriers = b;
    }
    if (++b->inside >= n) {
        b->released = true;
        eventfd_write(b->open, 1);
    }
    pthread_mutex_unlock(&barrier_lock);
    return b;
}

static void barrier_leave(barrier *b)
{
    barrier **link = &barriers;
    pthread_mutex_lock(&barrier_lock);
    if (--b->inside == 0) {
        while (*link != b)
            link = &(*link)->next;
        *link = b->next;
        close(b->open);
        free(b->name);
        free(b);
    }
    pthread_mutex_unlock(&barrier_lock);
}

static void do_barrier(exchange *x)
{
    text name = argument(x, "name", "");
    const unsigned n = (unsigned)number(x, "n", 400);
    barrier *b = barrier_enter(name.data, n);
    struct pollfd p[2] = { { b->open, POLLIN, 0 }, { x->c->fd, POLLRDHUP, 0 } };
    poll(p, 2, 30000);
    barrier_leave(b);
    text_free(&name);
    if (p[0].revents)
        do_ok(x);
    else if (p[1].revents)
        x->c->last = true;
    else
        answer_empty(x, 503, "");
}

/* ---- answers that are held until they are released ---- */

typedef struct latch {
    struct latch *next;
    char *name;
    int open; /* an eventfd, which becomes readable when the latch is released */
} latch;

static latch *latches; /* protected by barrier_lock; never freed */

static latch *latch_of(const char *name)
{
    latch *l;
    pthread_mutex_lock(&barrier_lock);
    for (l = latches; l && strcmp(l->name, name) != 0;)
        l = l->next;
    if (!l) {
        l = calloc(1, sizeof *l);
        if (!l || !(l->name = strdup(name)) || (l->open = eventfd(0, EFD_CLOEXEC)) < 0)
            abort();
        l->next = latches;
        latches = l;
    }
    pthread_mutex_unlock(&barrier_lock);
    return l;
}

void do_release(exchange *x)
{
    text name = argument(x, "name", "");
    eventfd_write(latch_of(name.data)->open, 1);
    text_free(&name);
    do_ok(x);
}

/* Waits for the release. Returns false, and ends the connection, if the client has closed it or
 * HOLD_MILLISECONDS have passed. */
static bool wait_for_release(exchange *x)
{
    text name = argument(x, "name", "");
    struct pollfd p[2] = { { latch_of(name.data)->open, POLLIN, 0 }, { x->c->fd, POLLRDHUP, 0 } };
    poll(p, 2, HOLD_MILLISECONDS);
    x->c->last = x->c->last || !p[0].revents;
    text_free(&name);
    return !x->c->last;
}

static void do_hold(exchange *x)
{
    text body = argument(x, "body", "{}");
    const size_t before = (size_t)number(x, "send", 0);
    if (before > 0 && before < body.size) {
        send_head(x, 200, "Content-Type: application/octet-stream\r\n", (long long)body.size, NULL);
        send_all(x->c, body.data, before);
        if (wait_for_release(x))
            send_all(x->c, body.data + before, body.size - before);
        text_free(&body);
    } else if (wait_for_release(x))
        answer_json(x, &body);
    else
        text_free(&body);
}

/* Announces a body of `say` bytes and sends `send_now` bytes, which are the start of a JSON string. */
static void send_partly(exchange *x, unsigned long long say, unsigned long long send_now)
{
    send_head(x, 200, "Content-Type: " JSON_TYPE "\r\n", (long long)say, NULL);
    send_run(x->c, '"', send_now > 0);
    send_run(x->c, 'x', send_now > 0 ? send_now - 1 : 0);
}

static void do_drip(exchange *x)
{
    unsigned long long bytes = (unsigned long long)number(x, "bytes", 100);
    const double s = number(x, "s", 0.05);
    send_partly(x, bytes, 0);
    for (char byte = '"'; bytes > 0 && !x->c->last && !gone_within(x->c, s);
         byte = bytes == 2 ? '"' : 'x', bytes--)
        send_run(x->c, byte, 1);
}

static void do_short(exchange *x)
{
    send_partly(x, (unsigned long long)number(x, "say", 100),
                (unsigned long long)number(x, "send", 10));
    x->c->last = true;
}

static void do_reset_body(exchange *x)
{
    const unsigned long long bytes = (unsigned long long)number(x, "bytes", 1000);
    send_partly(x, bytes, bytes / 2);
    gone_within(x->c, 0.05); /* wait until the client has received the first half */
    reset_connection(x->c);
}

static void do_reset_now(exchange *x)
{
    reset_connection(x->c);
}

static void do_half_head(exchange *x)
{
    const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Le";
    x->c->last = true;
    no_longer_waiting(x);
    send_all(x->c, head, sizeof head - 1);
}

static void do_garbage(exchange *x)
{
    static const char noise[] = "\x16\x03\x01\x02\x00 this is no HTTP\r\n\r\n";
    no_longer_waiting(x);
    send_all(x->c, noise, sizeof noise - 1);
    x->c->last = true;
}

static void do_nolength(exchange *x)
{
    text body = argument(x, "body", "{}");
    x->c->last = true;
    send_head(x, 200, "Content-Type: " JSON_TYPE "\r\n", -1, &body);
    text_free(&body);
}

static void do_slow_close(exchange *x)
{
    do_nolength(x);
    gone_within(x->c, number(x, "s", 1));
}

static void do_idle(exchange *x)
{
    x->c->idle = number(x, "s", 1);
    do_ok(x);
}

static void do_huge_header(exchange *x)
{
    const size_t bytes = (size_t)number(x, "bytes", 200000), lines = (size_t)number(x, "lines", 1);
    text more = { 0 };
    for (size_t line = 0; line < lines; line++) {
        text_puts(&more, "X-Huge: ");
        for (size_t i = 0; i < bytes; i++)
            text_puts(&more, "x");
        text_puts(&more, "\r\n");
    }
    answer_empty(x, 200, more.data);
    text_free(&more);
}

/* ---- chunked and compressed answers ---- */

typedef struct stream {
    conn *c;
    bool packed;
    z_stream z;
} stream;

static void send_chunk(conn *c, const char *data, size_t size)
{
    char line[32];
    if (size == 0)
        return; /* an empty chunk would end the body */
    send_all(c, line, (size_t)snprintf(line, sizeof line, "%zx\r\n", size));
    send_all(c, data, size);
    send_all(c, "\r\n", 2);
}

static void stream_begin(stream *s, exchange *x, bool packed)
{
    memset(s, 0, sizeof *s);
    s->c = x->c;
    s->packed = packed;
    if (packed && deflateInit2(&s->z, Z_BEST_SPEED, Z_DEFLATED, MAX_WBITS + 16 /* gzip */, 8,
                               Z_DEFAULT_STRATEGY) != Z_OK)
        abort();
    send_head(x, 200,
              packed ? "Content-Type: " JSON_TYPE
                       "\r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n"
                     : "Content-Type: " JSON_TYPE "\r\nTransfer-Encoding: chunked\r\n",
              -1, NULL);
}

static void stream_write(stream *s, const char *data, size_t size, int flush)
{
    char out[PIECE];
    if (!s->packed) {
        send_chunk(s->c, data, size);
        return;
    }
    s->z.next_in = (const Bytef *)data;
    s->z.avail_in = (uInt)size;
    do {
        s->z.next_out = (Bytef *)out;
        s->z.avail_out = sizeof out;
        deflate(&s->z, flush);
        send_chunk(s->c, out, sizeof out - s->z.avail_out);
    } while (s->z.avail_out == 0);
}

static void stream_end(stream *s)
{
    stream_write(s, "", 0, Z_FINISH);
    if (s->packed)
        deflateEnd(&s->z);
    send_all(s->c, "0\r\n\r\n", 5);
}

static void do_chunked(exchange *x)
{
    text body = argument(x, "body", "{}");
    stream s;
    stream_begin(&s, x, false);
    for (size_t i = 0; i < body.size; i += 3)
        stream_write(&s, body.data + i, body.size - i < 3 ? body.size - i : 3, Z_NO_FLUSH);
    stream_end(&s);
    text_free(&body);
}

static void stream_zeros(stream *s, unsigned long long bytes)
{
    char piece[PIECE];
    memset(piece, '0', sizeof piece);
    stream_write(s, "\"", 1, Z_NO_FLUSH);
    for (size_t n; bytes > 0 && !s->c->last; bytes -= n) {
        n = bytes < sizeof piece ? (size_t)bytes : sizeof piece;
        stream_write(s, piece, n, Z_NO_FLUSH);
    }
    stream_write(s, "\"", 1, Z_NO_FLUSH);
}

static void stream_repeated(stream *s, const text *what, unsigned long times)
{
    text item = { 0 };
    text_puts(&item, ",");
    text_json(&item, what->data, what->size);
    stream_write(s, "[", 1, Z_NO_FLUSH);
    for (unsigned long i = 0; i < times && !s->c->last; i++)
        stream_write(s, item.data + (i == 0), item.size - (i == 0), Z_NO_FLUSH);
    stream_write(s, "]", 1, Z_NO_FLUSH);
    text_free(&item);
}

static void do_gzip(exchange *x)
{
    text what = argument(x, "text", "x");
    const unsigned long long bytes = (unsigned long long)number(x, "bytes", 0);
    stream s;
    stream_begin(&s, x, strstr(header(x, "accept-encoding"), "gzip") != NULL);
    if (bytes > 0)
        stream_zeros(&s, bytes);
    else
        stream_repeated(&s, &what, (unsigned long)number(x, "repeat", 1000));
    stream_end(&s);
    text_free(&what);
}

/* ---- routes ---- */

static const struct {
    const char *path;
    behaviour run;
} routes[] = {
    { "/answers", do_answers },
    { "/auth", do_auth },
    { "/barrier", do_barrier },
    { "/bearer", do_bearer },
    { "/big", do_big },
    { "/bigjson", do_bigjson },
    { "/chunked", do_chunked },
    { "/delay", do_delay },
    { "/drip", do_drip },
    { "/drop", do_drop },
    { "/drop-reused", do_drop_reused },
    { "/echo", do_echo },
    { "/garbage", do_garbage },
    { "/half-head", do_half_head },
    { "/gzip", do_gzip },
    { "/hang", do_hang },
    { "/hold", do_hold },
    { "/huge-header", do_huge_header },
    { "/idle", do_idle },
    { "/nolength", do_nolength },
    { "/ok", do_ok },
    { "/redirect", do_redirect },
    { "/reset-body", do_reset_body },
    { "/reset-now", do_reset_now },
    { "/short", do_short },
    { "/slow-close", do_slow_close },
    { "/status", do_status },
};

/* Answers as Orthanc does for a route that does not exist. */
static void do_unknown(exchange *x)
{
    text t = { 0 };
    text_puts(&t,
              "{\"HttpError\":\"Not Found\",\"HttpStatus\":404,\"Message\":\"Unknown resource\","
              "\"OrthancError\":\"Unknown resource\",\"OrthancStatus\":17,\"Method\":");
    text_json(&t, x->method, strlen(x->method));
    text_puts(&t, ",\"Uri\":");
    text_json(&t, x->path, strlen(x->path));
    text_puts(&t, "}");
    answer(x, 404, "Content-Type: " JSON_TYPE "\r\n", &t);
}

behaviour behaviour_of(const char *path)
{
    if (strncmp(path, "/prefix/", 8) == 0)
        path += 7;
    if (strncmp(path, "/echo/", 6) == 0)
        return do_echo;
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
        if (strcmp(routes[i].path, path) == 0)
            return routes[i].run;
    return do_unknown;
}
