/* faultd_http.c - texts, reading requests, sending answers. */
#include "faultd.h"

#include <ctype.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <zlib.h>

enum { HEAD_MAX = 1 << 20 };

/* ---- texts ---- */

void text_add(text *t, const void *data, size_t size)
{
    if (t->size + size + 1 > t->room) {
        t->room = (t->size + size + 1) * 2;
        t->data = realloc(t->data, t->room);
        if (!t->data)
            abort();
    }
    if (size)
        memcpy(t->data + t->size, data, size);
    t->size += size;
    t->data[t->size] = '\0';
}

void text_puts(text *t, const char *string)
{
    text_add(t, string, strlen(string));
}

void text_addf(text *t, const char *format, ...)
{
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    text_add(t, line, (size_t)size < sizeof line ? (size_t)size : sizeof line - 1);
}

void text_drop(text *t, size_t size)
{
    t->size -= size;
    memmove(t->data, t->data + size, t->size + 1);
}

void text_free(text *t)
{
    free(t->data);
    memset(t, 0, sizeof *t);
}

/* The length of the UTF-8 character at s; 0 if there is no valid one. Does not detect overlong forms
 * and surrogates, because no test sends them. */
static size_t utf8_length(const unsigned char *s, size_t size)
{
    const size_t length = *s < 0x80   ? 1
                          : *s < 0xC2 ? 0
                          : *s < 0xE0 ? 2
                          : *s < 0xF0 ? 3
                          : *s < 0xF5 ? 4
                                      : 0;
    for (size_t i = 1; i < length; i++)
        if (i >= size || (s[i] & 0xC0) != 0x80)
            return 0;
    return length;
}

void text_json(text *t, const char *data, size_t size)
{
    const size_t from = t->size;
    text_puts(t, "\"");
    for (size_t i = 0, length; i < size; i += length) {
        const unsigned char c = (unsigned char)data[i];
        length = utf8_length((const unsigned char *)data + i, size - i);
        if (length == 0) {
            t->size = from;
            text_puts(t, "null");
            return;
        }
        if (c == '"' || c == '\\' || c < 0x20 || c == 0x7F)
            text_addf(t, "\\u%04x", c);
        else
            text_add(t, data + i, length);
    }
    text_puts(t, "\"");
}

/* ---- parameters and headers ---- */

static int hex(char c)
{
    return isdigit((unsigned char)c) ? c - '0' : (c | 32) - 'a' + 10;
}

static text decoded(const char *from, size_t size)
{
    text t = { 0 };
    text_puts(&t, "");
    for (size_t i = 0; i < size; i++) {
        char c = from[i];
        if (c == '%' && i + 2 < size && isxdigit((unsigned char)from[i + 1]) &&
            isxdigit((unsigned char)from[i + 2])) {
            c = (char)(hex(from[i + 1]) * 16 + hex(from[i + 2]));
            i += 2;
        }
        text_add(&t, &c, 1);
    }
    return t;
}

text parameter(const char *query, const char *name)
{
    const size_t length = strlen(name);
    for (const char *p = query; *p;) {
        const size_t size = strcspn(p, "&");
        if (size > length && strncmp(p, name, length) == 0 && p[length] == '=')
            return decoded(p + length + 1, size - length - 1);
        p += size + (p[size] == '&');
    }
    return (text){ 0 };
}

text argument(const exchange *x, const char *name, const char *otherwise)
{
    text t = parameter(x->arguments, name);
    if (!t.data)
        text_puts(&t, otherwise);
    return t;
}

double number(const exchange *x, const char *name, double otherwise)
{
    text t = parameter(x->arguments, name);
    const double value = t.data ? strtod(t.data, NULL) : otherwise;
    text_free(&t);
    return value > 0 ? value : 0;
}

const char *header(const exchange *x, const char *name)
{
    for (size_t i = 0; i < x->headers; i++)
        if (strcasecmp(x->names[i], name) == 0)
            return x->values[i];
    return "";
}

/* ---- reading ---- */

bool receive(conn *c)
{
    char piece[PIECE];
    const ssize_t n = recv(c->fd, piece, sizeof piece, 0);
    if (n > 0)
        text_add(&c->in, piece, (size_t)n);
    return n > 0;
}

bool take_until(conn *c, const char *mark, text *t)
{
    const size_t length = strlen(mark);
    char *end;
    while (!(end = c->in.size ? memmem(c->in.data, c->in.size, mark, length) : NULL))
        if (c->in.size > HEAD_MAX || !receive(c))
            return false;
    text_add(t, c->in.data, (size_t)(end - c->in.data));
    text_drop(&c->in, (size_t)(end - c->in.data) + length);
    return true;
}

bool take_bytes(conn *c, unsigned long long size, text *t)
{
    while (size > 0) {
        size_t n = c->in.size < size ? c->in.size : (size_t)size;
        if (n == 0 && !receive(c))
            return false;
        if (n == 0)
            continue;
        text_add(t, c->in.data, n);
        text_drop(&c->in, n);
        size -= n;
    }
    return true;
}

/* Does not handle trailers, because libcurl sends none here. */
bool take_chunks(conn *c, text *body)
{
    unsigned long long size = 1;
    bool whole = true;
    while (whole && size > 0) {
        text line = { 0 };
        whole = take_until(c, "\r\n", &line);
        size = whole ? strtoull(line.data, NULL, 16) : 0;
        whole = whole && take_bytes(c, size, body) && take_until(c, "\r\n", &line);
        text_free(&line);
    }
    return whole;
}

char *cut(char **rest, const char *mark)
{
    char *from = *rest, *end = strstr(from, mark);
    *rest = end ? end + strlen(mark) : from + strlen(from);
    if (end)
        *end = '\0';
    return from;
}

static bool parse_head(exchange *x)
{
    char *rest = x->head.data, *line = cut(&rest, "\r\n");
    x->method = cut(&line, " ");
    x->query = cut(&line, " ");
    x->path = cut(&x->query, "?");
    if (strncmp(x->path, "http://", 7) == 0) /* a request to a proxy: this server plays one */
        x->path += 7 + strcspn(x->path + 7, "/");
    while (*rest && x->headers < HEADERS_MAX) {
        char *value = cut(&rest, "\r\n"), *name = cut(&value, ":");
        for (char *p = name; *p; p++)
            *p = (char)tolower((unsigned char)*p);
        x->names[x->headers] = name;
        x->values[x->headers++] = value + strspn(value, " \t");
    }
    return *x->path == '/';
}

bool read_request(exchange *x)
{
    conn *c = x->c;
    struct pollfd p = { c->fd, POLLIN, 0 };
    if (c->idle > 0 && c->in.size == 0 && poll(&p, 1, (int)(c->idle * 1000)) == 0)
        return false;
    c->idle = 0;
    text_puts(&x->body, "");
    if (!take_until(c, "\r\n\r\n", &x->head))
        return false;
    text_add(&x->raw, x->head.data, x->head.size);
    if (!parse_head(x))
        return false;
    if (strcasecmp(header(x, "transfer-encoding"), "chunked") == 0)
        return take_chunks(c, &x->body);
    return take_bytes(c, strtoull(header(x, "content-length"), NULL, 10), &x->body);
}

/* ---- sending ---- */

void send_all(conn *c, const char *data, size_t size)
{
    while (size > 0) {
        const ssize_t n = send(c->fd, data, size, MSG_NOSIGNAL);
        if (n <= 0) {
            c->last = true;
            return;
        }
        data += n;
        size -= (size_t)n;
    }
}

void send_run(conn *c, char byte, unsigned long long count)
{
    char piece[PIECE];
    memset(piece, byte, sizeof piece);
    for (size_t n; count > 0 && !c->last; count -= n) {
        n = count < sizeof piece ? (size_t)count : sizeof piece;
        send_all(c, piece, n);
    }
}

void send_head(exchange *x, int status, const char *more, long long length, const text *with_body)
{
    text t = { 0 };
    if (x->before_answer)
        x->before_answer(x);
    if (strcasecmp(header(x, "connection"), "close") == 0)
        x->c->last = true;
    text_addf(&t, "HTTP/1.1 %d %s\r\nConnection: %s\r\n", status, status < 400 ? "OK" : "Failure",
              x->c->last ? "close" : "keep-alive");
    text_puts(&t, more);
    if (length >= 0)
        text_addf(&t, "Content-Length: %lld\r\n", length);
    text_puts(&t, "\r\n");
    if (with_body)
        text_add(&t, with_body->data, with_body->size);
    send_all(x->c, t.data, t.size);
    text_free(&t);
}

void answer(exchange *x, int status, const char *more, text *body)
{
    const bool bodiless = status == 204 || status == 304;
    send_head(x, status, more, bodiless ? -1 : (long long)body->size, bodiless ? NULL : body);
    text_free(body);
}

void answer_json(exchange *x, text *body)
{
    answer(x, 200, "Content-Type: " JSON_TYPE "\r\n", body);
}

void answer_empty(exchange *x, int status, const char *more)
{
    text nothing = { 0 };
    text_puts(&nothing, "");
    answer(x, status, more, &nothing);
}

void do_ok(exchange *x)
{
    text t = { 0 };
    text_puts(&t, "{}");
    answer_json(x, &t);
}

text echo_text(const exchange *x)
{
    text t = { 0 };
    text_puts(&t, "{\"method\":");
    text_json(&t, x->method, strlen(x->method));
    text_puts(&t, ",\"path\":");
    text_json(&t, x->path, strlen(x->path));
    text_puts(&t, ",\"query\":");
    text_json(&t, x->query, strlen(x->query));
    text_puts(&t, ",\"headers\":{");
    for (size_t i = 0; i < x->headers; i++) {
        text_json(&t, x->names[i], strlen(x->names[i]));
        text_puts(&t, ":");
        text_json(&t, x->values[i], strlen(x->values[i]));
        if (i + 1 < x->headers)
            text_puts(&t, ",");
    }
    text_puts(&t, "},\"body\":");
    text_json(&t, x->body.data, x->body.size);
    text_addf(&t, ",\"size\":%zu,\"crc32\":\"%08lx\",\"connection\":%lu,\"nth\":%lu}", x->body.size,
              crc32_z(0, (const Bytef *)x->body.data, x->body.size), x->c->ordinal, x->c->nth);
    return t;
}
