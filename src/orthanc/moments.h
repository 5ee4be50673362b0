/* orthanc/moments.h - reads dates and times (PS3.5 6.2: DA, TM, DT) and their ranges (PS3.4 C.2.2.2.5)
 * as intervals of microseconds. Knows no Lua. */
#ifndef ORTHANC_MOMENTS_H
#define ORTHANC_MOMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "orthanc/dictionary.h"

enum { MOMENTS_SECOND = 1000000 };
#define MOMENTS_HOUR ((int64_t)3600 * MOMENTS_SECOND)
#define MOMENTS_DAY  (24 * MOMENTS_HOUR)

/* The first and the last microsecond that a text may mean: "2024" is a year, "10" an hour. Dates count
 * from 1970, times from midnight. */
typedef struct moments {
    int64_t first, last;
    bool in_utc; /* a DT with an offset, which is subtracted from first and last */
} moments;

/* Reads a DA (YYYY, YYYYMM, YYYYMMDD; also YYYY.MM.DD and YYYY-MM-DD, old and wrong forms), a TM (HH,
 * HHMM, HHMMSS, HHMMSS.FFFFFF; also with colons, an old form), or a DT. Blanks around it are ignored.
 * False: it is none, or it does not exist, as 20230231. */
bool moments_read(dicom_vr vr, const char *text, size_t size, moments *m);

/* A filter of dates or times. An open end of a range is missing; a single value has both ends. */
typedef struct moments_range {
    moments first, last;
    bool has_first, has_last;
    bool is_range;
} moments_range;

/* Reads a single value or a range. The ends may be in the wrong order. False: it is neither. */
bool moments_read_range(dicom_vr vr, const char *text, size_t size, moments_range *r);

/* The '-' that separates the ends of a range, not that of a DT's offset; NULL: the text has none, or
 * more than one. */
const char *moments_separator(dicom_vr vr, const char *text, size_t size);

#endif
