/* orthanc/encodings.h - character sets: what Orthanc calls them, what DICOM does, and which letters
 * they hold. Knows no Lua. Sources: DICOM PS3.3 C.12.1.1.2 (Specific Character Set); Orthanc's
 * StringToEncoding and GetDicomSpecificCharacterSet. */
#ifndef ORTHANC_ENCODINGS_H
#define ORTHANC_ENCODINGS_H

#include <stdbool.h>

typedef struct orthanc_encoding {
    const char *name;  /* Orthanc's, of DefaultEncoding */
    const char *dicom; /* the term of SpecificCharacterSet; NULL = there is none */
    const char *iconv; /* iconv's; NULL = it cannot be checked */
} orthanc_encoding;

/* The row of Orthanc's name, or of DICOM's term; NULL when it is not known. */
const orthanc_encoding *orthanc_encoding_named(const char *name);
const orthanc_encoding *orthanc_encoding_of_dicom(const char *term);

/* Whether it holds every letter there is. */
bool orthanc_encoding_is_complete(const orthanc_encoding *e);

/* Whether every letter of the text (UTF-8) can be shown to be in it. */
bool orthanc_encoding_holds(const orthanc_encoding *e, const char *text);

#endif
