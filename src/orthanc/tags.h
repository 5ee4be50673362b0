/* orthanc/tags.h - DICOM tags, and at which levels of a C-FIND Orthanc keeps them in the query. Knows
 * no Lua. Sources: DICOM PS3.3 C.7 (modules), PS3.4 C.6 (query/retrieve), PS3.6
 * (names); Orthanc's DicomTag::AddTagsForModule and OrthancFindRequestHandler/ServerContext's
 * NormalizeFindQuery, observed on 1.10.1, 1.12.7 and 1.13.0. */
#ifndef ORTHANC_TAGS_H
#define ORTHANC_TAGS_H

#include <stdbool.h>
#include <stdint.h>

typedef enum orthanc_level {
    ORTHANC_PATIENT,
    ORTHANC_STUDY,
    ORTHANC_SERIES,
    ORTHANC_INSTANCE,
    ORTHANC_NO_LEVEL
} orthanc_level;

#define ORTHANC_TAG(group, element) ((uint32_t)(group) << 16 | (uint32_t)(element))

enum { ORTHANC_TAG_TEXT = 10 }; /* "gggg,eeee" and its NUL */

typedef struct orthanc_tag {
    const char *name; /* DICOM's keyword */
    uint32_t tag;
    unsigned char levels; /* 1 << level for each level that keeps it */
    bool sequence;        /* only worklist queries keep sequences */
} orthanc_tag;

/* All tags that a level keeps, and QueryRetrieveLevel; ended by a row without a name. */
extern const orthanc_tag orthanc_tags[];

/* The level called "Patient", "Study", "Series", "Instance" or "Image", in upper or lower case;
 * ORTHANC_NO_LEVEL for another word. */
orthanc_level orthanc_level_of(const char *word);

/* The name of the level as Orthanc writes it; NULL for ORTHANC_NO_LEVEL. */
const char *orthanc_level_name(orthanc_level level);

/* Reads a key of a query: a name in orthanc_tags, gggg,eeee, gggg-eeee or ggggeeee. False: it is none
 * of these, but it may be a name that the server knows. */
bool orthanc_tag_parse(const char *key, uint32_t *tag);

/* The row of a tag, or NULL. */
const orthanc_tag *orthanc_tag_row(uint32_t tag);

/* Why a tag cannot be in a query; NULL = it can. The marks between the items of a sequence end every
 * version of Orthanc; the groups 0000 and 0002 belong to messages and files. */
const char *orthanc_tag_forbidden(uint32_t tag);

/* Writes the tag as gggg,eeee. */
void orthanc_tag_write(uint32_t tag, char text[ORTHANC_TAG_TEXT]);

/* Whether Orthanc keeps the tag in a query of that level. When it normalizes a query, it removes every
 * other tag. */
bool orthanc_tag_kept(uint32_t tag, orthanc_level level);

/* What to do instead of a filter by a tag that the level does not keep ("use ModalitiesInStudy");
 * NULL = there is no advice. */
const char *orthanc_tag_advice(uint32_t tag, orthanc_level level);

/* What to do instead of a filter of POST /tools/find by a tag that the server's index does not have at
 * this level: such a filter matches nothing, or the database fails. NULL = the index has the tag, or
 * Orthanc reads it from the file of an instance. */
const char *orthanc_tag_not_indexed(uint32_t tag, orthanc_level level);

/* The tags that identify a resource of that level, as C-MOVE needs them. Ended by 0. */
const uint32_t *orthanc_unique_keys(orthanc_level level);

#endif
