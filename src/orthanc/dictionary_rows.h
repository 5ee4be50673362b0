/* orthanc/dictionary_rows.h - the rows that src/packaging/dictionary.cmake writes. Only dictionary.c
 * and that file include it. */
#ifndef ORTHANC_DICTIONARY_ROWS_H
#define ORTHANC_DICTIONARY_ROWS_H

#include "orthanc/dictionary.h"

typedef struct dictionary_row {
    uint32_t tag;
    unsigned name : 24, vr : 8; /* offset in dictionary_names; a dicom_vr */
} dictionary_row;

/* Sorted by tag, each tag once. */
extern const dictionary_row dictionary_rows[];
extern const unsigned dictionary_size; /* number of rows */
extern const char dictionary_names[];

#endif
