/* orthanc/failures.h - the vocabulary of Orthanc's REST API: what its statuses mean. Knows no Lua.
 * Sources: Orthanc's NEWS and OrthancErrors, observed on 1.10.1, 1.12.7 and 1.13.0. */
#ifndef ORTHANC_FAILURES_H
#define ORTHANC_FAILURES_H

#include <stdbool.h>

#define ORTHANC_NO_STATUS \
    (-1000) /* the body was empty, or named no OrthancStatus (-1 is one of them) */
#define ORTHANC_FOREIGN (-1001) /* the body is not Orthanc's: a proxy's page, another server */

/* What an answer that reports a failure means. Strings are static; code and message may be NULL. */
typedef struct orthanc_failure {
    const char *kind;    /* http auth orthanc dicom unknown */
    const char *code;    /* unknown_modality query_gone job_gone unsupported … */
    const char *message; /* for when the body has none */
} orthanc_failure;

/* Reads the HTTP status first, Orthanc's own second. path without the server's prefix;
 * side_effects: of the request; credentials: whether any were sent. */
orthanc_failure orthanc_classify(const char *path, long http_status, int orthanc_status,
                                 bool side_effects, bool credentials);

/* The DIMSE status in a Details text ("… DIMSE status 0xA701 …"), the only source of it
 * before 1.12.10; -1 when there is none. */
int orthanc_dimse_status(const char *details);

#endif
