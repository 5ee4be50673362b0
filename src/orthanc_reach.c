#include "orthanc_reach.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

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

/* A segment that a server, or libcurl on the way, would resolve: the path would not be what it
 * looks like. */
static bool is_resolved(const char *segment, size_t size)
{
    while (size > 0) {
        bool dot = segment[0] == '.';
        bool encoded = size >= 3 && segment[0] == '%' && segment[1] == '2' &&
                       (segment[2] == 'e' || segment[2] == 'E');
        if (!dot && !encoded)
            return false;
        segment += encoded ? 3 : 1;
        size -= encoded ? 3 : 1;
    }
    return true;
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

const char *orthanc_out_of_reach(const char *method, const char *path)
{
    size_t size = strcspn(path, "?");
    if (has_resolved_segment(path))
        return "a sandboxed script's paths have no empty segments, '.' or '..'";
    if (strcmp(method, "GET") == 0)
        return NULL;
    if (memchr(path, '%', size))
        return "the paths that a sandboxed script writes to are not percent-encoded";
    for (const char *const *w = writable; *w; w++)
        if (matches(*w, path + 1))
            return NULL;
    return "a sandboxed script changes data, queries and jobs, not the server";
}
