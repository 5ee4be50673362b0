/* http_server.c - how a server is reached: its address, credentials, TLS settings, and the gate in front of it. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http_server.h"

/* ---- strings on the runtime's account ---- */

char *http_strdup(mem *m, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = mem_realloc(m, NULL, 0, size);
    if (copy)
        memcpy(copy, text, size);
    return copy;
}

void http_strfree(mem *m, char *text)
{
    if (text)
        mem_realloc(m, text, strlen(text) + 1, 0);
}

/* Overwrites before freeing; volatile, so that the compiler keeps the stores. */
static void secret_free(mem *m, char *text)
{
    volatile char *p = text;
    size_t size = text ? strlen(text) + 1 : 0;
    for (size_t i = 0; i < size; i++)
        p[i] = 0;
    if (text)
        mem_realloc(m, text, size, 0);
}

/* ---- gates: one for each host and port, shared by all servers that name it ---- */

static http_gate *gate_open(http *h, const char *origin)
{
    http_gate *g;
    for (g = h->gates; g; g = g->next)
        if (strcmp(g->origin, origin) == 0) {
            g->users++;
            return g;
        }
    g = mem_realloc(h->mem, NULL, 0, sizeof *g);
    if (!g)
        return NULL;
    memset(g, 0, sizeof *g);
    g->origin = http_strdup(h->mem, origin);
    if (!g->origin) {
        mem_realloc(h->mem, g, sizeof *g, 0);
        return NULL;
    }
    g->users = 1;
    g->next = h->gates;
    h->gates = g;
    return g;
}

static void gate_close(http *h, http_gate *g)
{
    http_gate **link = &h->gates;
    if (--g->users > 0)
        return;
    while (*link != g)
        link = &(*link)->next;
    *link = g->next;
    http_strfree(h->mem, g->origin);
    mem_realloc(h->mem, g, sizeof *g, 0);
}

/* ---- the address ---- */

static bool part_is_set(CURLU *u, CURLUPart part)
{
    char *text = NULL;
    bool set = curl_url_get(u, part, &text, 0) == CURLUE_OK && text[0] != '\0';
    curl_free(text);
    return set;
}

/* Takes a decoded credential out of the URL. False: out of memory, or not decodable. */
static bool take_credential(http_server *s, CURLU *u, CURLUPart part, char **into)
{
    char *text = NULL;
    CURLUcode code = curl_url_get(u, part, &text, CURLU_URLDECODE);
    if (code == CURLUE_NO_USER || code == CURLUE_NO_PASSWORD)
        return true;
    if (code != CURLUE_OK)
        return false;
    *into = http_strdup(s->h->mem, text);
    memset(text, 0, strlen(text));
    curl_free(text);
    curl_url_set(u, part, NULL, 0);
    return *into != NULL;
}

static bool host_is_loopback(const char *host)
{
    return strcmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 || strcmp(host, "[::1]") == 0;
}

/* host:port in lower case names the gate. */
static bool server_open_gate(http_server *s, CURLU *u)
{
    char *host = NULL, *port = NULL, origin[300];
    bool ok = curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
              curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK;
    if (ok) {
        for (char *p = host; *p; p++)
            *p = (char)tolower((unsigned char)*p);
        s->loopback = host_is_loopback(host);
        snprintf(origin, sizeof origin, "%s:%s", host, port);
        s->gate = gate_open(s->h, origin);
    }
    curl_free(host);
    curl_free(port);
    return ok && s->gate != NULL;
}

static bool server_set_url(http_server *s, CURLU *u)
{
    char *url = NULL;
    size_t n;
    if (curl_url_get(u, CURLUPART_URL, &url, 0) != CURLUE_OK)
        return false;
    for (n = strlen(url); n > 0 && url[n - 1] == '/'; n--)
        url[n - 1] = '\0';
    s->url = http_strdup(s->h->mem, url);
    curl_free(url);
    return s->url != NULL;
}

/* What is wrong with an address, or NULL. Never quotes it: it may hold a password. */
static const char *url_fault(CURLU *u, const char *url)
{
    char *scheme = NULL;
    bool known;
    if (curl_url_set(u, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK)
        return strstr(url, "://") ? "it is not a URL; write it as http://host:8042"
                                  : "it has no scheme; write it as http://host:8042 or https://host";
    if (curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK)
        return "it has no scheme; write it as http://host:8042 or https://host";
    known = strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0;
    curl_free(scheme);
    if (!known)
        return strstr(url, "://") ? "only http:// and https:// are spoken"
                                  : "it has no scheme; write it as http://host:8042 or https://host";
    if (part_is_set(u, CURLUPART_QUERY) || part_is_set(u, CURLUPART_FRAGMENT))
        return "it must end with the path: no '?' and no '#'";
    return NULL;
}

static const char *server_parse(http_server *s, CURLU *u, const http_options *o)
{
    const char *fault = url_fault(u, o->url);
    if (fault)
        return fault;
    if (!take_credential(s, u, CURLUPART_USER, &s->username) ||
        !take_credential(s, u, CURLUPART_PASSWORD, &s->password))
        return "its user name or password cannot be decoded";
    if (s->username && (o->username || o->token))
        return "it holds credentials, and there are others beside it; give one of them";
    if (!server_set_url(s, u) || !server_open_gate(s, u))
        return "out of memory";
    return NULL;
}

/* ---- the server ---- */

static bool copy(http_server *s, char **into, const char *text)
{
    if (!text)
        return true;
    *into = http_strdup(s->h->mem, text);
    return *into != NULL;
}

static bool server_copy_options(http_server *s, const http_options *o)
{
    s->insecure = o->insecure;
    s->environment_proxy = o->environment_proxy;
    s->connect_timeout = o->connect_timeout;
    s->max_inflight = o->max_inflight;
    if (s->h->pool < s->max_inflight)
        s->h->pool = s->max_inflight;
    return copy(s, &s->username, o->username) && copy(s, &s->password, o->password) && copy(s, &s->token, o->token) &&
           copy(s, &s->ca, o->ca) && copy(s, &s->cert, o->cert) && copy(s, &s->key, o->key) &&
           copy(s, &s->proxy, o->proxy) && http_server_header(s, "Expect", "");
}

http_server *http_server_new(http *h, const http_options *o, char *why, size_t why_size)
{
    http_server *s;
    CURLU *u;
    const char *fault = "out of memory";

    if (!http_global_init(h)) {
        snprintf(why, why_size, "libcurl cannot be initialised");
        return NULL;
    }
    s = mem_realloc(h->mem, NULL, 0, sizeof *s);
    u = s ? curl_url() : NULL;
    if (s) {
        memset(s, 0, sizeof *s);
        s->h = h;
    }
    if (u)
        fault = server_parse(s, u, o);
    if (!fault && !server_copy_options(s, o))
        fault = "out of memory";
    curl_url_cleanup(u);
    if (fault) {
        http_server_free(s);
        s = NULL;
        snprintf(why, why_size, "%s", fault);
    }
    return s;
}

bool http_server_header(http_server *s, const char *name, const char *value)
{
    struct curl_slist *grown;
    size_t size = strlen(name) + strlen(value) + 3;
    char *line;
    if (name[0] == '\0' || strpbrk(name, "\r\n: \t") || strpbrk(value, "\r\n"))
        return false;
    line = mem_realloc(s->h->mem, NULL, 0, size);
    if (!line)
        return false;
    snprintf(line, size, value[0] ? "%s: %s" : "%s:", name, value);
    grown = curl_slist_append(s->headers, line);
    mem_realloc(s->h->mem, line, size, 0);
    if (grown)
        s->headers = grown;
    return grown != NULL;
}

void http_server_free(http_server *s)
{
    mem *m;
    if (!s)
        return;
    m = s->h->mem;
    if (s->gate)
        gate_close(s->h, s->gate);
    curl_slist_free_all(s->headers);
    secret_free(m, s->username);
    secret_free(m, s->password);
    secret_free(m, s->token);
    secret_free(m, s->proxy);
    http_strfree(m, s->url);
    http_strfree(m, s->ca);
    http_strfree(m, s->cert);
    http_strfree(m, s->key);
    mem_realloc(m, s, sizeof *s, 0);
}

const char *http_server_url(const http_server *s)
{
    return s->url;
}

bool http_server_has_credentials(const http_server *s)
{
    return s->username != NULL || s->token != NULL;
}
