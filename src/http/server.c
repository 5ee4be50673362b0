/* How a server is reached: its address, credentials and TLS settings, and the origin that limits
 * its transfers. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/ascii.h"
#include "base/secret.h"
#include "http/server.h"

enum { HEADER_BYTES = 64 }; /* of each header in libcurl's list, beside its text */

/* ---- origins ---- */

static http_origin *origin_find(http *h, const char *name)
{
    http_origin *o = h->origins;
    while (o && strcmp(o->name, name) != 0)
        o = o->next;
    return o;
}

static http_origin *origin_new(http *h, const char *name)
{
    http_origin *o = memory_realloc(h->memory, NULL, 0, sizeof *o);
    if (!o)
        return NULL;
    memset(o, 0, sizeof *o);
    o->name = memory_string(h->memory, name);
    if (!o->name) {
        memory_realloc(h->memory, o, sizeof *o, 0);
        return NULL;
    }
    o->next = h->origins;
    h->origins = o;
    return o;
}

/* NULL: not enough memory. */
static http_origin *origin_open(http *h, const char *name)
{
    http_origin *o = origin_find(h, name);
    if (!o)
        o = origin_new(h, name);
    if (o)
        o->users++;
    return o;
}

static void origin_close(http *h, http_origin *o)
{
    http_origin **link = &h->origins;
    if (--o->users > 0)
        return;
    while (*link != o)
        link = &(*link)->next;
    *link = o->next;
    memory_free_string(h->memory, o->name);
    memory_realloc(h->memory, o, sizeof *o, 0);
}

/* ---- the address ---- */

static bool url_has(CURLU *u, CURLUPart part)
{
    char *text = NULL;
    bool set = curl_url_get(u, part, &text, 0) == CURLUE_OK && text[0] != '\0';
    curl_free(text);
    return set;
}

static const char no_memory[] = "not enough memory";

/* Removes a credential from the URL, and stores it decoded. Returns NULL, or what is wrong. */
static const char *take_credential(http_server *s, CURLU *u, CURLUPart part, const char **into)
{
    char *text = NULL;
    CURLUcode code = curl_url_get(u, part, &text, CURLU_URLDECODE);
    if (code == CURLUE_NO_USER || code == CURLUE_NO_PASSWORD)
        return NULL;
    if (code != CURLUE_OK)
        return code == CURLUE_OUT_OF_MEMORY
                   ? no_memory
                   : "the user name or password in the URL is not validly percent-encoded";
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

/* The same IPv6 address in another zone is another host. */
static bool read_address(CURLU *u, http_address *a)
{
    char *host = NULL, *port = NULL, *zone = NULL;
    bool ok = curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK && strlen(host) < 256 &&
              curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK;
    curl_url_get(u, CURLUPART_ZONEID, &zone, 0);
    ok = ok && (!zone || strlen(zone) < 60);
    if (ok) {
        for (char *p = host; *p; p++)
            *p = (char)tolower((unsigned char)*p);
        a->loopback = host_is_loopback(host);
        snprintf(a->host, sizeof a->host, "%s%s%s", host, zone ? "%" : "", zone ? zone : "");
        snprintf(a->port, sizeof a->port, "%s", port);
    }
    curl_free(host);
    curl_free(port);
    curl_free(zone);
    return ok;
}

/* The name of the origin is host:port. */
static bool server_open_origin(http_server *s, CURLU *u)
{
    http_address a;
    char name[sizeof a.host + sizeof a.port + 1];
    if (!read_address(u, &a))
        return false;
    s->loopback = a.loopback;
    s->numeric = a.loopback || a.host[0] == '[' || !a.host[strspn(a.host, "0123456789.")];
    snprintf(name, sizeof name, "%s:%s", a.host, a.port);
    s->origin = origin_open(s->h, name);
    return s->origin != NULL;
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
    s->root = n;
    curl_free(url);
    return s->options.url != NULL;
}

/* Parses a URL. Its scheme must be one of `schemes`, which NULL ends. Returns NULL, or what is
 * wrong: `invalid`, when it is no URL; `unsupported`, when it has another scheme. Never quotes the
 * URL, which may contain a password. */
static const char *parse_url(CURLU *u, const char *url, unsigned flags, const char *const *schemes,
                             const char *invalid, const char *unsupported)
{
    char *scheme = NULL;
    CURLUcode code = curl_url_set(u, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME | flags);
    if (code == CURLUE_OK)
        code = curl_url_get(u, CURLUPART_SCHEME, &scheme, 0);
    if (code != CURLUE_OK)
        return code == CURLUE_OUT_OF_MEMORY ? no_memory : invalid;
    while (*schemes && strcmp(scheme, *schemes) != 0)
        schemes++;
    curl_free(scheme);
    return *schemes ? NULL : unsupported;
}

static const char *const web_schemes[] = { "http", "https", NULL };

bool http_address_parse(http_address *a, const char *url)
{
    CURLU *u = curl_url();
    bool ok = u && !parse_url(u, url, 0, web_schemes, no_memory, no_memory) && read_address(u, a);
    curl_url_cleanup(u);
    return ok;
}

static const char *server_parse(http_server *s, CURLU *u, const http_options *o)
{
    static const char no_scheme[] =
        "the URL has no scheme; write it as http://host:8042 or https://host";
    bool has_scheme = strstr(o->url, "://") != NULL;
    const char *fault =
        parse_url(u, o->url, 0, web_schemes,
                  has_scheme ? "the URL is not valid; write it as http://host:8042" : no_scheme,
                  has_scheme ? "only http:// and https:// URLs are supported" : no_scheme);
    if (!fault)
        fault = take_credentials(s, u, &s->options.username, &s->options.password);
    if (fault)
        return fault;
    if (o->token && ascii_has_control(o->token, strlen(o->token)))
        return "the token contains control characters"; /* a line end would start another header */
    if (url_has(u, CURLUPART_QUERY) || url_has(u, CURLUPART_FRAGMENT))
        return "the URL must end with the path, without '?' and '#'";
    if (s->options.username && (o->username || o->token))
        return "the URL contains credentials, and others are given beside it; give one of them";
    if (s->options.username && (!s->options.password || strchr(s->options.username, ':')))
        return "the user name in the URL has no password, or contains a ':'";
    return server_set_url(s, u) && server_open_origin(s, u) ? NULL : no_memory;
}

/* The credentials of the proxy are kept apart from its URL, so that no message of libcurl quotes
 * them. */
static const char *server_parse_proxy(http_server *s, CURLU *u, const char *proxy)
{
    static const char *const schemes[] = { "http",    "https",  "socks",   "socks4",
                                           "socks4a", "socks5", "socks5h", NULL };
    static const char wrong[] = "the option proxy is not a valid URL; write it as " HTTP_PROXY_FORM;
    char *url = NULL;
    const char *fault = parse_url(u, proxy, CURLU_GUESS_SCHEME, schemes, wrong, wrong);
    if (!fault && (url_has(u, CURLUPART_QUERY) || url_has(u, CURLUPART_FRAGMENT)))
        fault = wrong; /* credentials behind '?' or '#' would stay in the URL */
    if (!fault)
        fault = take_credentials(s, u, &s->proxy_username, &s->proxy_password);
    if (fault)
        return fault;
    if (curl_url_get(u, CURLUPART_URL, &url, 0) == CURLUE_OK)
        s->options.proxy = memory_string(s->h->memory, url);
    curl_free(url);
    return s->options.proxy ? NULL : no_memory;
}

/* The variable of the environment that names the proxy, as libcurl looks for it: http_proxy has no
 * form in capitals, because a web server sets HTTP_PROXY from a header of its client. NULL: none. */
static const char *proxy_variable(const char *url)
{
    static const char *const of_http[] = { "http_proxy", "all_proxy", "ALL_PROXY", NULL };
    static const char *const of_https[] = { "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY",
                                            NULL };
    const char *const *name = strncmp(url, "https:", 6) == 0 ? of_https : of_http;
    for (; *name; name++) {
        const char *value = getenv(*name);
        if (value && value[0])
            return *name;
    }
    return NULL;
}

/* libcurl would read the proxy of the environment by itself, and quote it with its password when it
 * cannot use it. A proxy that is no valid URL fails when it is needed: no_proxy may except the
 * server. */
static const char *server_take_environment_proxy(http_server *s, CURLU *u)
{
    const char *variable = proxy_variable(s->options.url), *fault;
    if (!variable)
        return NULL;
    fault = server_parse_proxy(s, u, getenv(variable));
    if (!fault || fault == no_memory)
        return fault;
    s->bad_proxy = variable;
    s->options.proxy = memory_string(s->h->memory, HTTP_BAD_PROXY);
    return s->options.proxy ? NULL : no_memory;
}

/* ---- the server ---- */

/* Copies a string option, unless the URL has given it. */
static bool copy_string(http_server *s, const char **own, const char *text)
{
    if (*own || !text)
        return true;
    *own = memory_string(s->h->memory, text);
    return *own != NULL;
}

static bool add_header_line(http_server *s, const char *line)
{
    const size_t bytes = strlen(line) + HEADER_BYTES;
    struct curl_slist *grown;
    if (!memory_charge(s->h->memory, bytes))
        return false;
    s->header_bytes += bytes;
    /* curl_slist_append looks for the end of the list: given the last line, it need not */
    grown = curl_slist_append(s->last_header, line);
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
    /* not sent: Orthanc never answers it, and libcurl would wait */
    return add_header_line(s, "Expect:");
}

/* Whether the URL of the server is that one, or below it. */
static bool is_below(const http_server *s, const char *url)
{
    size_t size = strlen(url);
    while (size > 0 && url[size - 1] == '/')
        size--;
    return strncmp(s->options.url, url, size) == 0 && strchr("/", s->options.url[size]);
}

/* NULL: *why is a static text that says what is wrong. */
static http_server *server_new(http *h, const http_options *o, const char **why)
{
    http_server *s;
    CURLU *address, *proxy;
    const char *fault = no_memory;

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
    else if (!fault && o->environment_proxy && !s->loopback)
        fault = server_take_environment_proxy(s, proxy);
    if (!fault && !server_copy_options(s, o))
        fault = no_memory;
    if (s)
        s->numeric = s->numeric && !s->options.proxy;
    if (!fault)
        s->of_host = h->transport && (!h->transport_url || is_below(s, h->transport_url));
    curl_url_cleanup(address);
    curl_url_cleanup(proxy);
    if (fault) {
        http_server_free(s);
        s = NULL;
        *why = fault;
    }
    return s;
}

http_server *http_server_new(http *h, const http_options *o, char *why, size_t why_size)
{
    const char *fault = "libcurl could not be initialised";
    http_server *s = http_global_init(h) ? server_new(h, o, &fault) : NULL;
    if (!s)
        snprintf(why, why_size, "%s", fault);
    return s;
}

/* RFC 9110: a name is a token; a value has no control characters except tabs. */
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
    const char *joint = value[0] ? ": " : ";"; /* libcurl sends "Name;" as an empty header */
    size_t size = strlen(name) + strlen(joint) + strlen(value) + 1;
    char *line;
    bool added;
    if (!header_valid(name, value))
        return "its name must consist of letters, digits and '-'; its value must not contain "
               "control characters";
    line = memory_realloc(s->h->memory, NULL, 0, size);
    if (!line)
        return no_memory;
    snprintf(line, size, "%s%s%s", name, joint, value);
    added = add_header_line(s, line);
    secret_free(s->h->memory, line);
    s->authorization = s->authorization || strcasecmp(name, "Authorization") == 0;
    return added ? NULL : no_memory;
}

static bool has_header(const http_server *s, const char *name)
{
    size_t size = strlen(name);
    for (const struct curl_slist *line = s->headers; line; line = line->next)
        if (strncasecmp(line->data, name, size) == 0 &&
            (line->data[size] == ':' || line->data[size] == ';'))
            return true;
    return false;
}

/* `line` is "Name: value". It is cut meanwhile. */
static const char *add_missing_line(http_server *s, char *line)
{
    char *colon = strchr(line, ':');
    const char *fault;
    if (!colon)
        return "a line has no ':' behind the name";
    *colon = '\0';
    fault = has_header(s, line) ? NULL
                                : http_server_header(s, line, colon + 1 + strspn(colon + 1, " \t"));
    *colon = ':';
    return fault;
}

const char *http_server_add_missing(http_server *s, const char *lines)
{
    char *copy = memory_string(s->h->memory, lines);
    const char *fault = copy ? NULL : no_memory;
    for (char *line = copy; line && *line && !fault;) {
        size_t size = strcspn(line, "\n");
        bool last = line[size] == '\0';
        line[size] = '\0';
        fault = size > 0 ? add_missing_line(s, line) : NULL;
        line[size] = last ? '\0' : '\n';
        line += size + !last;
    }
    secret_free(s->h->memory, copy);
    return fault;
}

/* Makes a server in an account of its own. */
static const char *fault_of(const http_options *o, const char *header_lines)
{
    const char *fault = NULL;
    memory account;
    host_thread thread = { 0 };
    http h;
    http_server *s;
    memory_init(&account, NULL, NULL, 0);
    http_init(&h, &account, &thread);
    s = server_new(&h, o, &fault);
    if (s && header_lines)
        fault = http_server_add_missing(s, header_lines);
    http_server_free(s);
    http_free(&h);
    return fault == no_memory ? NULL : fault;
}

const char *http_server_fault(const http_options *o)
{
    return fault_of(o, NULL);
}

const char *http_header_lines_fault(const char *lines)
{
    return fault_of(&(http_options){ .url = "http://localhost" }, lines);
}

void http_server_free(http_server *s)
{
    memory *m;
    if (!s)
        return;
    m = s->h->memory;
    if (s->origin)
        origin_close(s->h, s->origin);
    for (struct curl_slist *line = s->headers; line; line = line->next)
        secret_wipe(line->data); /* an Authorization header is a secret too */
    curl_slist_free_all(s->headers);
    memory_discharge(m, s->header_bytes);
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

bool http_server_is_of_host(const http_server *s)
{
    return s->of_host;
}

/* server_set_url has written the URL: it has a scheme. */
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
           s->origin == other->origin && strncmp(path, above, size) == 0 &&
           (path[size] == '\0' || path[size] == '/');
}

void http_server_set_root(http_server *s, const http_server *other)
{
    s->root =
        strlen(s->options.url) - strlen(http_server_path(s)) + strlen(http_server_path(other));
}

const char *http_server_base(const http_server *s)
{
    return s->options.url + s->root;
}

bool http_server_has_credentials(const http_server *s)
{
    return s->options.username || s->options.token || s->authorization;
}

const char *http_server_unsent(const http_server *s)
{
    return s->options.unsent;
}

size_t http_server_bytes(const http_server *s)
{
    return s->header_bytes;
}

unsigned http_server_retries(const http_server *s)
{
    return s->options.retries;
}
