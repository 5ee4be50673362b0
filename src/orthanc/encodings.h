/* orthanc/encodings.h - character sets: their names in Orthanc and in DICOM, and which characters they
 * have. Knows no Lua. Sources: DICOM PS3.3 C.12.1.1.2 (Specific Character Set); Orthanc's
 * StringToEncoding and GetDicomSpecificCharacterSet. */
#ifndef ORTHANC_ENCODINGS_H
#define ORTHANC_ENCODINGS_H

#include <stdbool.h>

typedef struct orthanc_encoding {
    const char *name;  /* the value of Orthanc's DefaultEncoding */
    const char *dicom; /* the value of SpecificCharacterSet; NULL = DICOM does not have this set */
    const char *iconv; /* the name for iconv; NULL = iconv cannot check it */
} orthanc_encoding;

/* The row by Orthanc's name, and by DICOM's value; NULL when it is unknown. */
const orthanc_encoding *orthanc_encoding_named(const char *name);
const orthanc_encoding *orthanc_encoding_of_dicom(const char *value);

/* Whether it has every Unicode character. */
bool orthanc_encoding_is_complete(const orthanc_encoding *e);

/* Whether it is certain to have every character of the text, which is UTF-8. */
bool orthanc_encoding_holds(const orthanc_encoding *e, const char *text);

#endif
