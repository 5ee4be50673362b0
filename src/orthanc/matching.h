/* orthanc/matching.h - whether the value of an answer contradicts a filter of the query (DICOM PS3.4
 * C.2.2.2). Knows no Lua, and allocates nothing. When in doubt an answer stays: a difference that a
 * server may disregard, or that may have come about on the way, is no contradiction. These are upper
 * and lower case, accents, padding, characters that a character set cannot hold, a time zone, the
 * precision of a time, the spelling of a number, and values that are not what their value
 * representation says. */
#ifndef ORTHANC_MATCHING_H
#define ORTHANC_MATCHING_H

#include <stdbool.h>

#include "orthanc/dictionary.h"

typedef enum matching {
    MATCHING_NO,     /* the value contradicts the filter */
    MATCHING_DOUBT,  /* it would match, had it not been changed on its way */
    MATCHING_YES,    /* it matches */
    MATCHING_UNSHOWN /* it is empty, so that it shows nothing */
} matching;

/* The filter: a value, a list of values with '\\' between them, a value with the wildcards '*' and '?',
 * a range of dates or times, or universal (blanks and '*' alone). The value: one or several; one that
 * matches is enough. Both are UTF-8. The VR of a sequence, or of bytes: always YES. */
matching matching_compare(dicom_vr vr, const char *filter, const char *value);

/* Combined datetime matching (C.2.2.2.5): whether a date and a time are inside of the range that begins
 * with the first date at the first time, and ends with the last date at the last time. A date or time
 * that is missing or no date does not contradict. */
bool matching_is_in_moments(const char *date_filter, const char *time_filter, const char *date,
                            const char *time);

#endif
