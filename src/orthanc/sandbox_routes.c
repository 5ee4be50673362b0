#include "orthanc/sandbox_routes.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "base/ascii.h"

/* Segments; `*` is any one, a `**` at the end any number. */
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

/* What their bodies say is beyond the data: a file of the server's, a host that gets it. */
static const char *const not_writable[] = { "instances/*/export/**", "modalities/*/store/**",
                                            NULL };

static bool ends_segment(char c)
{
    return c == '\0' || c == '/' || c == '?';
}

/* Whether the path, without its first '/', is of the pattern. */
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

/* ---- paths that are not what they look like ---- */

/* The byte at *at, decoded; moves on behind it. */
static char next_byte(const char **at)
{
    const char *p = *at;
    int high = p[0] == '%' ? ascii_hex_value(p[1]) : -1;
    int low = high >= 0 ? ascii_hex_value(p[2]) : -1;
    *at += low >= 0 ? 3 : 1;
    return low >= 0 ? (char)(high * 16 + low) : p[0];
}

/* A segment of dots, which a server, or a proxy on the way, would resolve; or one that is several
 * when it has been decoded, as both do first. */
static bool is_resolved(const char *segment, size_t size)
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

/* An empty segment counts, unless it is the last. */
static bool has_resolved_segment(const char *path)
{
    for (const char *at = path; *at == '/';) {
        size_t n = strcspn(at + 1, "/?");
        bool last = at[1 + n] != '/';
        if (n == 0 ? !last : is_resolved(at + 1, n))
            return true;
        at += 1 + n;
    }
    return false;
}

/* Whether one of the query's keys is `_method`: a GET that has it Orthanc takes for another method.
 */
static bool changes_method(const char *path)
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

const char *orthanc_crooked(const char *path)
{
    return has_resolved_segment(path) ? "a sandboxed script's paths have no empty segments, no '.' "
                                        "or '..', and no encoded "
                                        "'/', '\\' or '%'"
                                      : NULL;
}

/* ---- headers ---- */

/* Where a request goes, where it ends, and what it is, besides its path. */
static const char *const not_headers[] = { "Connection",
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

bool orthanc_is_plain_header(const char *name)
{
    const char *const *at = not_headers;
    while (*at && strcasecmp(*at, name) != 0)
        at++;
    return !*at;
}

/* ---- routes ---- */

const char *orthanc_out_of_reach(const char *method, const char *path)
{
    size_t size = strcspn(path, "?");
    const char *why = orthanc_crooked(path);
    if (why)
        return why;
    if (changes_method(path))
        return "a sandboxed script's queries have no key '_method', which makes a request another";
    if (strcmp(method, "GET") == 0)
        return NULL;
    if (memchr(path, '%', size))
        return "the paths that a sandboxed script writes to are not percent-encoded";
    if (is_among(writable, path + 1) && !is_among(not_writable, path + 1))
        return NULL;
    return "a sandboxed script changes data, queries and jobs, not the server";
}
