/* orthanc/value_checks.h - the parts of values.c, which alone calls them. Knows no Lua. Each check
 * returns false with a message as values_check does. */
#ifndef ORTHANC_VALUE_CHECKS_H
#define ORTHANC_VALUE_CHECKS_H

#include "orthanc/values.h"

/* Formats the message. Returns false. */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
bool value_refuse(char message[VALUES_MESSAGE], const char *format, ...);

/* Refuses characters that look like others, or like nothing. */
bool value_characters_check(dicom_vr vr, const char *value, char message[VALUES_MESSAGE]);

/* Checks a DA, TM or DT that is not universal. */
bool value_times_check(dicom_vr vr, const char *value, char message[VALUES_MESSAGE]);

#endif
