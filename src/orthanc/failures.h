/* orthanc/failures.h - what the statuses of Orthanc's REST API mean. Knows no Lua.
 * Sources: Orthanc's NEWS and OrthancErrors, observed on 1.10.1, 1.12.7 and 1.13.0. */
#ifndef ORTHANC_FAILURES_H
#define ORTHANC_FAILURES_H

#include <stdbool.h>

/* In place of an OrthancStatus (which can be -1). */
#define ORTHANC_NO_STATUS (-1000) /* the body is empty, or has no OrthancStatus */
#define ORTHANC_FOREIGN \
    (-1001) /* Orthanc did not write the body: a proxy, or another server, did */

/* What a failure means: the fields of its error object. Strings are static. */
typedef struct orthanc_failure {
    const char *kind;    /* http auth orthanc dicom unknown */
    const char *code;    /* unknown_modality query_gone job_gone unsupported …; or NULL */
    const char *message; /* NULL = the one in the body */
} orthanc_failure;

/* Whether a request, whose path has no prefix of the server, can change something that its sender must
 * know about: it can start a transfer, store, or change settings. POSTs that only ask cannot. */
bool orthanc_has_effects(const char *method, const char *path);

/* What a failed request means, by its path (without the server's prefix), the HTTP status, the
 * OrthancStatus in the body, whether the request had effects, and whether credentials were sent. Of
 * kind "unknown", the code is the kind that the failure would have without effects. */
orthanc_failure orthanc_classify(const char *path, long http_status, int orthanc_status,
                                 bool effects, bool credentials);

/* The DIMSE status in the text of Details ("… DIMSE status 0xA701 …"), its only source before 1.12.10.
 * -1 = none. */
int orthanc_dimse_status(const char *details);

/* Whether the details say that a modality's answer, or the query, names a character set that this
 * version of Orthanc does not know. NULL = no details. */
bool orthanc_is_bad_charset(const char *details);

#endif
