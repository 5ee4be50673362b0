#include "orthanc/file_routes.h"

#include <stddef.h>
#include <string.h>

/* A path has an identifier between `begin` and `end`; or (end NULL) it begins so. */
static const struct row {
    const char *begin, *end;
    file_kind kind;
} rows[] = {
    { "/tools/create-archive", NULL, FILE_ARCHIVE }, { "/tools/create-media", NULL, FILE_ARCHIVE },
    { "/patients/", "/archive", FILE_ARCHIVE },      { "/patients/", "/media", FILE_ARCHIVE },
    { "/studies/", "/archive", FILE_ARCHIVE },       { "/studies/", "/media", FILE_ARCHIVE },
    { "/series/", "/archive", FILE_ARCHIVE },        { "/series/", "/media", FILE_ARCHIVE },
    { "/jobs/", "/archive", FILE_ARCHIVE },          { "/instances/", "/file", FILE_DICOM },
    { "/instances/", "/modify", FILE_DICOM },        { "/instances/", "/anonymize", FILE_DICOM }
};

file_kind file_kind_of(const char *path)
{
    size_t n = strcspn(path, "?");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *r = &rows[i];
        size_t begin = strlen(r->begin), id;
        if (strncmp(path, r->begin, begin) != 0)
            continue;
        id = strcspn(path + begin, "/?");
        if (!r->end || (begin + id + strlen(r->end) == n &&
                        strncmp(path + begin + id, r->end, strlen(r->end)) == 0))
            return r->kind;
    }
    return FILE_ANY;
}
