/* orthanc/worklist_tags.h - the tags of modality worklists, and where in a query each of them stands.
 * Knows no Lua. Sources: DICOM PS3.4 K.6.1.2.2 (attributes of the Modality Worklist Information
 * Model), PS3.6 (names); what modalities make of a tag in another place was observed on Orthanc's
 * plug-in (it finds nothing) and DCMTK's wlmscpfs (it ignores the filter and finds everything). */
#ifndef ORTHANC_WORKLIST_TAGS_H
#define ORTHANC_WORKLIST_TAGS_H

#include <stdbool.h>
#include <stdint.h>

/* Where a tag may stand, a bit each. */
typedef enum orthanc_place {
    ORTHANC_NOWHERE = 0,
    ORTHANC_AT_TOP = 1,
    ORTHANC_IN_STEP = 2, /* in the item of ScheduledProcedureStepSequence */
    ORTHANC_IN_OTHER = 4 /* in that of another sequence */
} orthanc_place;

typedef struct orthanc_worklist_tag {
    const char *name; /* DICOM's keyword */
    uint32_t tag;
    unsigned char places;
    bool sequence;
} orthanc_worklist_tag;

/* Ended by one without a name. */
extern const orthanc_worklist_tag orthanc_worklist_tags[];

enum { ORTHANC_STEP_SEQUENCE = 0x00400100 };

/* The row of a tag, or NULL. */
const orthanc_worklist_tag *orthanc_worklist_row(uint32_t tag);

/* As orthanc_tag_parse, with the names of this table too. */
bool orthanc_worklist_parse(const char *key, uint32_t *tag);

/* The places of a tag whose number or name is known: those of its row, or the top when it is about
 * the patient. */
unsigned orthanc_worklist_places(uint32_t tag);

/* Whether it is known to be a sequence. */
bool orthanc_worklist_is_sequence(uint32_t tag);

/* The name of a tag of this table or of orthanc_tags; NULL when it is in neither. */
const char *orthanc_worklist_name(uint32_t tag);

#endif
