#include "orthanc/sandbox_routes.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "base/ascii.h"

/* The routes that a sandboxed script may write to. `*` is any segment, `**` at the end any number of
 * segments. */
static const char *const writable[] = { "patients/**",
                                        "studies/**",
                                        "series/**",
                                        "instances/**",
                                        "queries/**",
                                        "jobs/**",
                                        "storage-commitment/**",
                                        "modalities/*/*/**",
                                        "peers/*/*/**",
                                        "tools/find",
                                        "tools/lookup",
                                        "tools/count-resources",
                                        "tools/bulk-content",
                                        "tools/bulk-anonymize",
                                        "tools/bulk-modify",
                                        "tools/bulk-delete",
                                        "tools/create-archive",
                                        "tools/create-media",
                                        "tools/create-media-extended",
                                        "tools/create-dicom",
                                        NULL };

/* Exceptions: their bodies can name a file of the server, or a host that receives data. */
static const char *const not_writable[] = { "instances/*/export/**", "modalities/*/store/**",
                                            NULL };

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

static bool is_among(const char *const *patterns, const char *path)
{
    while (*patterns && !matches(*patterns, path))
        patterns++;
    return *patterns != NULL;
}

/* ---- paths that can be read in two ways ---- */

/* The byte at *at, decoded; moves on behind it. */
static char next_byte(const char **at)
{
    const char *p = *at;
    int high = p[0] == '%' ? ascii_hex_value(p[1]) : -1;
    int low = high >= 0 ? ascii_hex_value(p[2]) : -1;
    *at += low >= 0 ? 3 : 1;
    return low >= 0 ? (char)(high * 16 + low) : p[0];
}

/* Whether a server or proxy would change the segment: it has only dots ("."  or ".."), or it becomes
 * several segments when it is decoded. */
static bool is_ambiguous(const char *segment, size_t size)
{
    const char *end = segment + size;
    bool dots = true;
    while (segment < end) {
        bool encoded = *segment == '%';
        char c = next_byte(&segment);
        if ((encoded && (c == '/' || c == '%')) || c == '\\')
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
        while (key[n] && *p && next_byte(&p) == key[n])
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
               ? "the path of a sandboxed script may not have an empty segment, '.', '..', or an "
                 "encoded '/', '\\' or '%'"
               : NULL;
}

/* ---- headers ---- */

/* Headers that decide where a request goes, where it ends, or what its method is. */
static const char *const harmful_headers[] = { "Connection",
                                               "Content-Length",
                                               "Expect",
                                               "Host",
                                               "HTTP2-Settings",
                                               "Keep-Alive",
                                               "Proxy-Connection",
                                               "TE",
                                               "Trailer",
                                               "Transfer-Encoding",
                                               "Upgrade",
                                               "X-HTTP-Method",
                                               "X-HTTP-Method-Override",
                                               "X-Method-Override",
                                               "X-Original-URL",
                                               "X-Rewrite-URL",
                                               NULL };

bool orthanc_is_harmless_header(const char *name)
{
    const char *const *at = harmful_headers;
    while (*at && strcasecmp(*at, name) != 0)
        at++;
    return !*at;
}

/* ---- routes ---- */

const char *orthanc_route_refusal(const char *method, const char *path)
{
    size_t size = strcspn(path, "?");
    const char *why = orthanc_path_fault(path);
    if (why)
        return why;
    if (has_method_key(path))
        return "a sandboxed script may not use the query key '_method', which changes the method";
    if (strcmp(method, "GET") == 0)
        return NULL;
    if (memchr(path, '%', size))
        return "a sandboxed script may not write to a percent-encoded path";
    if (is_among(writable, path + 1) && !is_among(not_writable, path + 1))
        return NULL;
    return "a sandboxed script may change data, queries and jobs, but not the server";
}
