#include "http/configure.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "http/body.h"
#include "http/bounds.h"
#include "http/explain.h"
#include "http/server.h"
#include "http/stream.h"

/* POST and PUT always send a body; it may be empty. */
static bool has_body(const http_request *r)
{
    return r->body || r->source || strcmp(r->method, "POST") == 0 || strcmp(r->method, "PUT") == 0;
}

/* Puts the header of this transfer before the headers of the server, a list that all its transfers
 * share. */
static bool setopt_headers(http_transfer *t)
{
    char line[128];
    if (!has_body(&t->request))
        return curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->server->headers) == CURLE_OK;
    snprintf(line, sizeof line, t->request.content_type ? "Content-Type: %s" : "Content-Type:",
             t->request.content_type);
    t->content_header = curl_slist_append(NULL, line);
    if (!t->content_header)
        return false;
    t->content_header->next = t->server->headers;
    return curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->content_header) == CURLE_OK;
}

static bool setopt_method(http_transfer *t)
{
    const http_request *r = &t->request;
    CURL *e = t->easy;
    if (has_body(r) &&
        (curl_easy_setopt(e, CURLOPT_POST, 1L) != CURLE_OK ||
         (!r->source &&
          curl_easy_setopt(e, CURLOPT_POSTFIELDS, r->body ? r->body : "") != CURLE_OK) ||
         curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body_size) != CURLE_OK))
        return false;
    return strcmp(r->method, "GET") == 0 ||
           curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, r->method) == CURLE_OK;
}

static bool setopt_url(http_transfer *t)
{
    memory *m = t->h->memory;
    size_t base = strlen(t->server->options.url), size = base + strlen(t->request.path) + 1;
    char *url = memory_realloc(m, NULL, 0, size);
    bool ok;
    if (!url)
        return false;
    memcpy(url, t->server->options.url, base);
    memcpy(url + base, t->request.path, size - base);
    ok = curl_easy_setopt(t->easy, CURLOPT_URL, url) == CURLE_OK;
    memory_realloc(m, url, size, 0);
    return ok;
}

static bool setopt_text(CURL *e, CURLoption option, const char *text)
{
    return !text || curl_easy_setopt(e, option, text) == CURLE_OK;
}

static bool setopt_credentials(CURL *e, const http_server *s)
{
    if (s->options.token &&
        (curl_easy_setopt(e, CURLOPT_HTTPAUTH, CURLAUTH_BEARER) != CURLE_OK ||
         curl_easy_setopt(e, CURLOPT_XOAUTH2_BEARER, s->options.token) != CURLE_OK))
        return false;
    if (s->options.username && curl_easy_setopt(e, CURLOPT_HTTPAUTH, CURLAUTH_BASIC) != CURLE_OK)
        return false;
    return setopt_text(e, CURLOPT_USERNAME, s->options.username) &&
           setopt_text(e, CURLOPT_PASSWORD, s->options.password);
}

static bool setopt_security(CURL *e, const http_server *s)
{
    const char *proxy = s->options.proxy, *passphrase = s->options.key_password;
    if (!passphrase && s->options.cert)
        passphrase = ""; /* otherwise OpenSSL would ask at the terminal, inside of libcurl */
    if (s->options.insecure) {
        curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    if (!proxy && (!s->options.environment_proxy || s->loopback))
        proxy = ""; /* otherwise libcurl would use the environment */
    return setopt_credentials(e, s) && setopt_text(e, CURLOPT_PROXY, proxy) &&
           setopt_text(e, CURLOPT_PROXYUSERNAME, s->proxy_username) &&
           setopt_text(e, CURLOPT_PROXYPASSWORD, s->proxy_password) &&
           setopt_text(e, CURLOPT_CAINFO, s->options.ca) &&
           setopt_text(e, CURLOPT_SSLCERT, s->options.cert) &&
           setopt_text(e, CURLOPT_SSLKEY, s->options.key) &&
           setopt_text(e, CURLOPT_KEYPASSWD, passphrase) &&
           curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK;
}

/* Rounded up, so that no timeout is over before the caller's deadline. */
static long milliseconds(double seconds)
{
    if (seconds <= 0)
        return 0;
    return seconds < 0.001 ? 1 : seconds > 2e6 ? 2000000000L : (long)ceil(seconds * 1000);
}

/* Options that only store a number cannot fail. */
static void setopt_behaviour(http_transfer *t)
{
    CURL *e = t->easy;
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_PRIVATE, t);
    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, t->error);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, body_on_data);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, bounds_on_header);
    curl_easy_setopt(e, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(e, CURLOPT_PATH_AS_IS, 1L); /* ".." is not resolved */
    curl_easy_setopt(e, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(e, CURLOPT_FRESH_CONNECT,
                     t->request.side_effects || t->request.certificate ? 1L : 0L);
    curl_easy_setopt(e, CURLOPT_CERTINFO, t->request.certificate ? 1L : 0L);
    curl_easy_setopt(e, CURLOPT_FORBID_REUSE, t->request.side_effects ? 1L : 0L);
    curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, milliseconds(t->request.timeout));
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS,
                     milliseconds(t->server->options.connect_timeout));
    curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, explain_on_socket);
    curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, t);
    curl_easy_setopt(e, CURLOPT_CLOSESOCKETFUNCTION, explain_on_close);
    curl_easy_setopt(e, CURLOPT_CLOSESOCKETDATA, t->h); /* a connection outlives the transfer */
    curl_easy_setopt(e, CURLOPT_RESOLVER_START_FUNCTION, bounds_on_lookup);
    curl_easy_setopt(e, CURLOPT_RESOLVER_START_DATA, t);
    curl_easy_setopt(e, CURLOPT_PREREQFUNCTION, bounds_on_request);
    curl_easy_setopt(e, CURLOPT_PREREQDATA, t);
    curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L); /* notices a dead server during long requests */
    curl_easy_setopt(e, CURLOPT_TCP_KEEPIDLE, 30L);
    curl_easy_setopt(e, CURLOPT_TCP_KEEPINTVL, 10L);
#if LIBCURL_VERSION_NUM >= 0x075700
    curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L); /* an abort does not wait for the resolver */
#endif
}

/* Over loopback, compressing and decompressing takes longer than sending the plain bytes. Files are
 * large or compressed already. An answer that is compressed all the same is still decompressed. */
static const char *encodings(const http_transfer *t)
{
    return t->server->loopback || t->request.sink ? "identity" : "gzip, deflate";
}

bool configure_transfer(http_transfer *t)
{
    setopt_behaviour(t);
    return setopt_url(t) && setopt_method(t) && setopt_headers(t) &&
           setopt_security(t->easy, t->server) &&
           curl_easy_setopt(t->easy, CURLOPT_ACCEPT_ENCODING, encodings(t)) == CURLE_OK &&
           http_stream_configure(t) &&
           curl_easy_setopt(t->easy, CURLOPT_USERAGENT, "modalua/" VERSION) == CURLE_OK;
}
