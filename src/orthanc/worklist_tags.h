/* orthanc/worklist_tags.h - the tags of modality worklists, and the place of each in a query. Knows no
 * Lua. Sources: DICOM PS3.4 K.6.1.2.2 (attributes of the Modality Worklist Information Model), PS3.6
 * (names). A filter in another place is useless: Orthanc's plug-in then finds nothing, and DCMTK's
 * wlmscpfs ignores the filter and finds everything (both observed). */
#ifndef ORTHANC_WORKLIST_TAGS_H
#define ORTHANC_WORKLIST_TAGS_H

#include <stdbool.h>
#include <stdint.h>

/* The places where a tag may stand: bits. */
typedef enum orthanc_place {
    ORTHANC_NOWHERE = 0,
    ORTHANC_AT_TOP = 1,
    ORTHANC_IN_STEP = 2, /* in the item of ScheduledProcedureStepSequence */
    ORTHANC_IN_OTHER = 4 /* in the item of another sequence */
} orthanc_place;

typedef struct orthanc_worklist_tag {
    const char *name; /* DICOM's keyword */
    uint32_t tag;
    unsigned char places; /* of type orthanc_place */
    bool sequence;
} orthanc_worklist_tag;

/* Ended by a row without a name. */
extern const orthanc_worklist_tag orthanc_worklist_tags[];

enum { ORTHANC_STEP_SEQUENCE = 0x00400100 };

/* The row of a tag, or NULL. */
const orthanc_worklist_tag *orthanc_worklist_row(uint32_t tag);

/* Like orthanc_tag_parse, but knows the names of this table too. */
bool orthanc_worklist_parse(const char *key, uint32_t *tag);

/* The places of a tag: those of its row. A Patient-level tag of orthanc_tags without a row has its place
 * at the top. */
unsigned orthanc_worklist_places(uint32_t tag);

/* Whether one of the two tables says that the tag is a sequence. */
bool orthanc_worklist_is_sequence(uint32_t tag);

/* The name of a tag in this table or in orthanc_tags; NULL when it is in neither. */
const char *orthanc_worklist_name(uint32_t tag);

#endif
