/* orthanc/file_routes.h - the routes of Orthanc that answer with a file of one kind. Knows no Lua.
 * Observed on 1.10.1, 1.12.7 and 1.13.0. */
#ifndef ORTHANC_FILE_ROUTES_H
#define ORTHANC_FILE_ROUTES_H

typedef enum file_kind {
    FILE_ANY,     /* what it is depends on the path and on plugins */
    FILE_ARCHIVE, /* a ZIP archive, application/zip */
    FILE_DICOM    /* an instance, application/dicom */
} file_kind;

/* What the route of a path (which may have a query behind it) answers with. */
file_kind file_kind_of(const char *path);

#endif
