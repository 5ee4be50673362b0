#include "orthanc/sandbox_routes.h"

#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/ascii.h"

/* A route: `*` is any segment, `**` at the end any number of segments, also none. */
typedef struct route {
    const char *method; /* NULL = POST, PUT and DELETE */
    const char *pattern;
} route;

/* The routes that a sandboxed script may write to. A route that only makes something new is for POST
 * alone: with PUT, "instances" behind a path such as "modalities" would be the name of an entry. */
static const route writable[] = { { NULL, "patients/*/**" },
                                  { NULL, "studies/*/**" },
                                  { NULL, "series/*/**" },
                                  { NULL, "instances/*/**" },
                                  { "POST", "instances" },
                                  { NULL, "queries/*/**" },
                                  { NULL, "jobs/*/**" },
                                  { NULL, "storage-commitment/*/**" },
                                  { NULL, "modalities/*/*/**" },
                                  { NULL, "peers/*/*/**" },
                                  { "POST", "tools/find" },
                                  { "POST", "tools/lookup" },
                                  { "POST", "tools/count-resources" },
                                  { "POST", "tools/bulk-content" },
                                  { "POST", "tools/bulk-anonymize" },
                                  { "POST", "tools/bulk-modify" },
                                  { "POST", "tools/bulk-delete" },
                                  { "POST", "tools/create-archive" },
                                  { "POST", "tools/create-media" },
                                  { "POST", "tools/create-media-extended" },
                                  { "POST", "tools/create-dicom" },
                                  { NULL, NULL } };

/* Exceptions: their bodies can name a file of the server, or a host that receives data. */
static const route names_a_file[] = { { NULL, "instances/*/export/**" }, { NULL, NULL } };
static const route names_a_host[] = { { NULL, "modalities/*/store/**" }, { NULL, NULL } };

static bool ends_segment(char c)
{
    return c == '\0' || c == '/' || c == '?';
}

/* Whether the path, without its first '/', matches the pattern. */
static bool matches(const char *pattern, const char *path)
{
    while (strcmp(pattern, "**") != 0) {
        size_t n = strcspn(pattern, "/"), m = strcspn(path, "/?");
        bool any = n == 1 && pattern[0] == '*';
        if (any ? m == 0 : n != m || strncmp(pattern, path, n) != 0)
            return false;
        pattern += n;
        path += m;
        if (!*pattern)
            return ends_segment(*path) && *path != '/';
        pattern++;
        if (*path == '/')
            path++;
        else
            return strcmp(pattern, "**") == 0;
    }
    return true;
}

static bool is_among(const route *routes, const char *method, const char *path)
{
    while (routes->pattern && ((routes->method && strcmp(routes->method, method) != 0) ||
                               !matches(routes->pattern, path)))
        routes++;
    return routes->pattern != NULL;
}

/* ---- paths that can be read in two ways ---- */

/* Whether a server or proxy would change the segment: it has only dots ("." or ".."), it becomes
 * several segments when it is decoded, or it has parameters, which some remove first ("..;x"). */
static bool is_ambiguous(const char *segment, size_t size)
{
    const char *end = segment + size;
    bool dots = true;
    while (segment < end) {
        bool encoded = *segment == '%';
        char c = ascii_next_byte(&segment);
        if ((encoded && (c == '/' || c == '%')) || c == '\\' || c == ';')
            return true;
        dots = dots && c == '.';
    }
    return dots;
}

/* An empty segment is ambiguous too, unless it is the last. */
static bool has_ambiguous_segment(const char *path)
{
    for (const char *at = path; *at == '/';) {
        size_t n = strcspn(at + 1, "/?");
        bool last = at[1 + n] != '/';
        if (n == 0 ? !last : is_ambiguous(at + 1, n))
            return true;
        at += 1 + n;
    }
    return false;
}

/* Whether the query has the key `_method`, by which Orthanc takes a GET for another method. */
static bool has_method_key(const char *path)
{
    static const char key[] = "_method";
    const char *at = strchr(path, '?');
    while (at) {
        const char *p = at + 1;
        size_t n = 0;
        while (key[n] && *p && ascii_next_byte(&p) == key[n])
            n++;
        if (!key[n] && (*p == '=' || *p == '&' || *p == '\0'))
            return true;
        at = strpbrk(at + 1, "?&;");
    }
    return false;
}

const char *orthanc_path_fault(const char *path)
{
    return has_ambiguous_segment(path)
               ? "the path of a sandboxed script may not have an empty segment, '.', '..', ';', "
                 "'\\', or an encoded '/' or '%'"
               : NULL;
}

/* ---- headers ---- */

/* Parts of names of headers that decide where a request goes, where it ends, what its method is, or for
 * whom a proxy takes the client. Proxies and servers know many of each kind: X-HTTP-Method-Override,
 * X-Original-Method, X-Forwarded-Host, X-Envoy-Original-Path, …. */
/* clang-format off */
static const char *const harmful_parts[] = {
    "accel", "client-cert", "client-ip", "connecting", "connection", "forward", "host", "http2", "keep-alive", "length", "method",
    "original", "override", "proxy", "real-ip", "remote-", "rewrite", "scheme", "sendfile", "transfer", "upgrade", "auth-request",
    "auth-user", "webauth", NULL
};

/* The same as whole words between hyphens. */
static const char *const harmful_words[] = {
    "authenticated", "backend", "destination", "dn", "expect", "https", "path", "port", "proto", "protocol", "route", "script", "ssl",
    "target", "te", "trailer", "upstream", "uri", "url", "verb", "verify", "via", NULL
};
/* clang-format on */

enum { HEADER_NAME_MAX = 100 };

static bool is_harmful_word(const char *word, size_t size)
{
    for (const char *const *at = harmful_words; *at; at++)
        if (strlen(*at) == size && memcmp(*at, word, size) == 0)
            return true;
    return false;
}

/* Many servers (CGI, WSGI) take '_' for '-', and some '.' too. */
bool orthanc_is_harmless_header(const char *name)
{
    char plain[HEADER_NAME_MAX + 1];
    size_t size = strlen(name);
    if (size > HEADER_NAME_MAX)
        return false;
    for (size_t i = 0; i <= size; i++)
        plain[i] = name[i] && !isalnum((unsigned char)name[i])
                       ? '-'
                       : (char)tolower((unsigned char)name[i]);
    for (const char *const *at = harmful_parts; *at; at++)
        if (strstr(plain, *at))
            return false;
    for (const char *at = plain; *at; at += *at == '-') {
        size_t n = strcspn(at, "-");
        if (is_harmful_word(at, n))
            return false;
        at += n;
    }
    return true;
}

/* ---- routes ---- */

static const char *const not_the_server =
    "a sandboxed script may change data, queries and jobs, but not the server";

const char *orthanc_route_refusal(const char *method, const char *path)
{
    size_t size = strcspn(path, "?");
    const char *why = orthanc_operation_refusal(method, path);
    if (why || strcmp(method, "GET") == 0)
        return why;
    if (memchr(path, '%', size))
        return "a sandboxed script may not write to a percent-encoded path";
    return is_among(names_a_host, method, path + 1) ? not_the_server : NULL;
}

const char *orthanc_operation_refusal(const char *method, const char *path)
{
    const char *why = orthanc_path_fault(path);
    if (why)
        return why;
    if (has_method_key(path))
        return "a sandboxed script may not use the query key '_method', which changes the method";
    if (strcmp(method, "GET") == 0)
        return NULL;
    return is_among(writable, method, path + 1) && !is_among(names_a_file, method, path + 1)
               ? NULL
               : not_the_server;
}
