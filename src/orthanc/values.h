/* orthanc/values.h - checks the value of a filter against its value representation (DICOM PS3.5 6.2,
 * PS3.4 C.2.2.2). A wrong value makes servers find nothing, or everything. Knows no Lua. */
#ifndef ORTHANC_VALUES_H
#define ORTHANC_VALUES_H

#include <stdbool.h>

#include "orthanc/dictionary.h"

enum { VALUES_MESSAGE = 200 };

/* Whether the value, which is UTF-8, can be sent. False: the message says why and what would be right;
 * its subject, the filter, is to be put before it: "is not a DICOM date: write 20240131". An empty value
 * passes for every value representation, and "*" for those that have wildcards. */
bool values_check(dicom_vr vr, const char *value, char message[VALUES_MESSAGE]);

enum { VALUES_TIMES = 32 };

/* Whether the value is a range of times over midnight (235000-001000). It passes values_check, but
 * servers find nothing by it. Then `first` and `second` are the two ranges that it means, before and
 * after midnight. */
bool values_split_midnight(const char *value, char first[VALUES_TIMES], char second[VALUES_TIMES]);

#endif
