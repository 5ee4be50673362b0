/* orthanc/dictionary.h - DICOM's data dictionary (PS3.6): the keyword and the value representation of
 * each tag, from DCMTK's dicom.dic, which Orthanc reads too. Knows no Lua. */
#ifndef ORTHANC_DICTIONARY_H
#define ORTHANC_DICTIONARY_H

#include <stdbool.h>
#include <stdint.h>

/* The value representations of PS3.5 6.2. OTHER: bytes, such as OB, and choices that hold bytes. US is
 * also "US or SS", UL also DCMTK's own "up". */
typedef enum dicom_vr {
    DICOM_VR_UNKNOWN,
    DICOM_AE,
    DICOM_AS,
    DICOM_AT,
    DICOM_CS,
    DICOM_DA,
    DICOM_DS,
    DICOM_DT,
    DICOM_FD,
    DICOM_FL,
    DICOM_IS,
    DICOM_LO,
    DICOM_LT,
    DICOM_PN,
    DICOM_SH,
    DICOM_SL,
    DICOM_SQ,
    DICOM_SS,
    DICOM_ST,
    DICOM_SV,
    DICOM_TM,
    DICOM_UC,
    DICOM_UI,
    DICOM_UL,
    DICOM_UR,
    DICOM_US,
    DICOM_UT,
    DICOM_UV,
    DICOM_OTHER
} dicom_vr;

/* Whether values are dates, times, or both. */
static inline bool dicom_vr_is_moment(dicom_vr vr)
{
    return vr == DICOM_DA || vr == DICOM_TM || vr == DICOM_DT;
}

/* DICOM_VR_UNKNOWN for private tags and those that the dictionary does not have. */
dicom_vr dictionary_vr(uint32_t tag);

/* The two letters of a value representation, such as "PN"; NULL for DICOM_VR_UNKNOWN and
 * DICOM_OTHER. */
const char *dictionary_vr_name(dicom_vr vr);

/* NULL for private tags and those that the dictionary does not have. */
const char *dictionary_keyword(uint32_t tag);

/* The tag of a keyword, as DICOM writes it: upper and lower case differ. Retired tags have the keyword
 * that they had; DCMTK's RETIRED_ before it is accepted. False: there is no such keyword. */
bool dictionary_find(const char *keyword, uint32_t *tag);

/* The keyword that is most like a misspelt one; NULL: none is. */
const char *dictionary_nearest(const char *keyword);

#endif
