/* orthanc/patient_ids.h - which PatientIDs Orthanc takes for one in a C-MOVE or C-GET at Patient level:
 * it then sends all of these patients. Knows no Lua. */
#ifndef ORTHANC_PATIENT_IDS_H
#define ORTHANC_PATIENT_IDS_H

#include <stddef.h>

/* Writes what Orthanc compares of a PatientID of `size` bytes: capital letters, without characters
 * beyond ASCII and control characters, a blank for '_' and '%' (not since 1.13.0), and no blanks at the
 * ends. `folded` has room for `size` bytes. Returns the size of what it has written. */
size_t patient_ids_fold(const char *id, size_t size, char *folded);

#endif
