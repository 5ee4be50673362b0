/* http/server.c - how a server is reached: its address, credentials, TLS settings, and the gate in
 * front of it. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/ascii.h"
#include "base/secret.h"
#include "http/server.h"

/* ---- gates: one for each host and port, shared by all servers that name it ---- */

static http_gate *gate_open(http *h, const char *origin)
{
    http_gate *g;
    for (g = h->gates; g; g = g->next)
        if (strcmp(g->origin, origin) == 0) {
            g->users++;
            return g;
        }
    g = memory_realloc(h->memory, NULL, 0, sizeof *g);
    if (!g)
        return NULL;
    memset(g, 0, sizeof *g);
    g->origin = memory_string(h->memory, origin);
    if (!g->origin) {
        memory_realloc(h->memory, g, sizeof *g, 0);
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
    memory_free_string(h->memory, g->origin);
    memory_realloc(h->memory, g, sizeof *g, 0);
}

/* ---- the address ---- */

static bool url_has(CURLU *u, CURLUPart part)
{
    char *text = NULL;
    bool set = curl_url_get(u, part, &text, 0) == CURLUE_OK && text[0] != '\0';
    curl_free(text);
    return set;
}

static const char no_memory[] = "out of memory";

/* Takes a decoded credential out of the URL. NULL, or what is wrong. */
static const char *take_credential(http_server *s, CURLU *u, CURLUPart part, const char **into)
{
    char *text = NULL;
    CURLUcode code = curl_url_get(u, part, &text, CURLU_URLDECODE);
    if (code == CURLUE_NO_USER || code == CURLUE_NO_PASSWORD)
        return NULL;
    if (code != CURLUE_OK)
        return code == CURLUE_OUT_OF_MEMORY ? no_memory
                                            : "the user name or password in it cannot be decoded";
    *into = memory_string(s->h->memory, text);
    secret_wipe(text);
    curl_free(text);
    curl_url_set(u, part, NULL, 0);
    return *into ? NULL : no_memory;
}

static const char *take_credentials(http_server *s, CURLU *u, const char **username,
                                    const char **password)
{
    const char *fault = take_credential(s, u, CURLUPART_USER, username);
    return fault ? fault : take_credential(s, u, CURLUPART_PASSWORD, password);
}

static bool host_is_loopback(const char *host)
{
    return strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
           (strncmp(host, "127.", 4) == 0 && host[strspn(host, "0123456789.")] == '\0');
}

/* host:port in lower case names the gate. */
static bool server_open_gate(http_server *s, CURLU *u)
{
    char *host = NULL, *port = NULL, origin[300];
    bool ok = curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK && strlen(host) < 256 &&
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
    s->options.url = memory_string(s->h->memory, url);
    curl_free(url);
    return s->options.url != NULL;
}

/* Reads a URL, whose scheme must be among those, ended by NULL. `unread` and `unknown` are the
 * faults. Never quotes it: it may hold a password. */
static const char *read_url(CURLU *u, const char *url, unsigned flags, const char *const *schemes,
                            const char *unread, const char *unknown)
{
    char *scheme = NULL;
    CURLUcode code = curl_url_set(u, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME | flags);
    if (code == CURLUE_OK)
        code = curl_url_get(u, CURLUPART_SCHEME, &scheme, 0);
    if (code != CURLUE_OK)
        return code == CURLUE_OUT_OF_MEMORY ? no_memory : unread;
    while (*schemes && strcmp(scheme, *schemes) != 0)
        schemes++;
    curl_free(scheme);
    return *schemes ? NULL : unknown;
}

static const char *server_parse(http_server *s, CURLU *u, const http_options *o)
{
    static const char *const schemes[] = { "http", "https", NULL };
    static const char no_scheme[] =
        "the URL has no scheme; write it as http://host:8042 or https://host";
    bool has_scheme = strstr(o->url, "://") != NULL;
    const char *fault =
        read_url(u, o->url, 0, schemes,
                 has_scheme ? "the URL cannot be read; write it as http://host:8042" : no_scheme,
                 has_scheme ? "only http:// and https:// URLs are spoken" : no_scheme);
    if (!fault)
        fault = take_credentials(s, u, &s->options.username, &s->options.password);
    if (fault)
        return fault;
    if (o->token && ascii_has_control(o->token, strlen(o->token)))
        return "the token holds control characters"; /* a line end would begin another header */
    if (url_has(u, CURLUPART_QUERY) || url_has(u, CURLUPART_FRAGMENT))
        return "the URL must end with the path: no '?' and no '#'";
    if (s->options.username && (o->username || o->token))
        return "the URL holds credentials, and there are others beside it; give one of them";
    if (s->options.username && (!s->options.password || strchr(s->options.username, ':')))
        return "the URL's user name has no password, or holds a ':'";
    return server_set_url(s, u) && server_open_gate(s, u) ? NULL : no_memory;
}

/* A proxy's credentials go apart, so that no message of libcurl's can repeat them. */
static const char *server_parse_proxy(http_server *s, CURLU *u, const char *proxy)
{
    static const char *const schemes[] = { "http",   "https",   "socks4", "socks4a",
                                           "socks5", "socks5h", NULL };
    static const char wrong[] =
        "the option proxy cannot be read; write it as http://host:3128 or socks5://host:1080";
    char *url = NULL;
    const char *fault = read_url(u, proxy, CURLU_GUESS_SCHEME, schemes, wrong, wrong);
    if (!fault)
        fault = take_credentials(s, u, &s->proxy_username, &s->proxy_password);
    if (fault)
        return fault;
    if (curl_url_get(u, CURLUPART_URL, &url, 0) == CURLUE_OK)
        s->options.proxy = memory_string(s->h->memory, url);
    curl_free(url);
    return s->options.proxy ? NULL : no_memory;
}

/* ---- the server ---- */

/* Copies a string option that the parsing of a URL has not set. */
static bool copy_string(http_server *s, const char **own, const char *text)
{
    if (*own || !text)
        return true;
    *own = memory_string(s->h->memory, text);
    return *own != NULL;
}

static bool add_header_line(http_server *s, const char *line)
{
    struct curl_slist *grown = curl_slist_append(s->last_header, line); /* it looks for the end */
    if (!grown)
        return false;
    s->last_header = s->last_header ? s->last_header->next : grown;
    if (!s->headers)
        s->headers = grown;
    return true;
}

static bool server_copy_options(http_server *s, const http_options *o)
{
    http_options *own = &s->options, parsed = *own;
    *own = *o;
#define CONNECT_STRING(name, ...) own->name = parsed.name;
#include "base/connect_options.def"
    if (s->h->pool < own->max_inflight)
        s->h->pool = own->max_inflight;
#define CONNECT_STRING(name, ...)             \
    if (!copy_string(s, &own->name, o->name)) \
        return false;
#include "base/connect_options.def"
    return add_header_line(s,
                           "Expect:"); /* libcurl leaves the header out: Orthanc never answers it */
}

http_server *http_server_new(http *h, const http_options *o, char *why, size_t why_size)
{
    http_server *s;
    CURLU *address, *proxy;
    const char *fault = no_memory;

    if (!http_global_init(h)) {
        snprintf(why, why_size, "libcurl cannot be initialised");
        return NULL;
    }
    s = memory_realloc(h->memory, NULL, 0, sizeof *s);
    address = curl_url();
    proxy = curl_url();
    if (s) {
        memset(s, 0, sizeof *s);
        s->h = h;
    }
    if (s && address && proxy)
        fault = server_parse(s, address, o);
    if (!fault && o->proxy)
        fault = server_parse_proxy(s, proxy, o->proxy);
    if (!fault && !server_copy_options(s, o))
        fault = no_memory;
    curl_url_cleanup(address);
    curl_url_cleanup(proxy);
    if (fault) {
        http_server_free(s);
        s = NULL;
        snprintf(why, why_size, "%s", fault);
    }
    return s;
}

/* RFC 9110: a name is a token; a value holds no control characters but tabs. */
static bool header_valid(const char *name, const char *value)
{
    for (const char *p = name; *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr("!#$%&'*+-.^_`|~", *p))
            return false;
    for (const char *p = value; *p; p++)
        if (ascii_is_control(*p) && *p != '\t')
            return false;
    return name[0] != '\0';
}

const char *http_server_header(http_server *s, const char *name, const char *value)
{
    const char *joint = value[0] ? ": " : ";"; /* "Name;" is libcurl's way to send an empty one */
    size_t size = strlen(name) + strlen(joint) + strlen(value) + 1;
    char *line;
    bool added;
    if (!header_valid(name, value))
        return "a name is letters, digits and -, a value holds no control characters";
    line = memory_realloc(s->h->memory, NULL, 0, size);
    if (!line)
        return no_memory;
    snprintf(line, size, "%s%s%s", name, joint, value);
    added = add_header_line(s, line);
    secret_free(s->h->memory, line);
    s->authorization = s->authorization || strcasecmp(name, "Authorization") == 0;
    return added ? NULL : no_memory;
}

void http_server_free(http_server *s)
{
    memory *m;
    if (!s)
        return;
    m = s->h->memory;
    if (s->gate)
        gate_close(s->h, s->gate);
    for (struct curl_slist *line = s->headers; line; line = line->next)
        secret_wipe(line->data); /* an Authorization header is a secret too */
    curl_slist_free_all(s->headers);
#define CONNECT_STRING(name, ...) secret_free(m, (char *)s->options.name);
#include "base/connect_options.def"
    secret_free(m, (char *)s->proxy_username);
    secret_free(m, (char *)s->proxy_password);
    memory_realloc(m, s, sizeof *s, 0);
}

const char *http_server_url(const http_server *s)
{
    return s->options.url;
}

/* Of a URL that server_set_url has written. */
const char *http_server_path(const http_server *s)
{
    const char *host = strstr(s->options.url, "://") + 3;
    return host + strcspn(host, "/");
}

bool http_server_is_below(const http_server *s, const http_server *other)
{
    const char *path = http_server_path(s), *above = http_server_path(other);
    size_t size = strlen(above);
    return strncmp(s->options.url, other->options.url, strcspn(s->options.url, ":") + 1) == 0 &&
           s->gate == other->gate && strncmp(path, above, size) == 0 &&
           (path[size] == '\0' || path[size] == '/');
}

bool http_server_has_credentials(const http_server *s)
{
    return s->options.username || s->options.token || s->authorization;
}

unsigned http_server_retries(const http_server *s)
{
    return s->options.retries;
}
