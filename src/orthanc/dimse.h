/* orthanc/dimse.h - what the statuses of DICOM's services mean, and what to check (DICOM PS3.7 C,
 * PS3.4 B.2.3, C.4.1 to C.4.3). Knows no Lua. */
#ifndef ORTHANC_DIMSE_H
#define ORTHANC_DIMSE_H

#include <stdbool.h>

/* Bits, so that a row of the table can be about several services. */
typedef enum dimse_service {
    DIMSE_OTHER = 1,
    DIMSE_FIND = 2,
    DIMSE_MOVE = 4,
    DIMSE_GET = 8,
    DIMSE_STORE = 16
} dimse_service;

/* The service that a request to this path of Orthanc uses. */
dimse_service dimse_service_of_path(const char *path);

/* The service of a job of this Type ("DicomMoveScu"). */
dimse_service dimse_service_of_job(const char *type);

/* What a status means and what to check, as a clause; NULL: the table does not have it. */
const char *dimse_words(int status, dimse_service service);

/* Whether this status of a C-MOVE may mean that the modality does not know, or cannot reach, the
 * destination. */
bool dimse_blames_destination(int status);

/* What to check when the exchange with a modality failed, by Orthanc's Details (the text of DCMTK);
 * NULL: the text says nothing that is known. */
const char *dimse_network_words(const char *details);

#endif
