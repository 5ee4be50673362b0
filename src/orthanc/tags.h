/* orthanc/tags.h - DICOM tags as Orthanc treats them in a C-FIND: which ones survive at which
 * level. Knows no Lua. Sources: DICOM PS3.3 C.7 (modules), PS3.4 C.6 (query/retrieve), PS3.6
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
    unsigned char levels; /* a bit for each level whose queries keep it */
    bool sequence;        /* only worklists can query sequences: everything else drops them */
} orthanc_tag;

/* All tags that some level keeps, and QueryRetrieveLevel; ended by one without a name. */
extern const orthanc_tag orthanc_tags[];

/* "Patient", "Study", "Series", "Instance", and DICOM's own words, in any case. */
orthanc_level orthanc_level_of(const char *word);
const char *orthanc_level_name(orthanc_level level); /* as Orthanc writes it */

/* Reads a key of a query: a name of the table, gggg,eeee, gggg-eeee or ggggeeee. False: it is
 * neither; it may still be a name that the server knows. */
bool orthanc_tag_parse(const char *key, uint32_t *tag);

/* The row of a tag, or NULL. */
const orthanc_tag *orthanc_tag_row(uint32_t tag);

/* Writes gggg,eeee. */
void orthanc_tag_write(uint32_t tag, char text[ORTHANC_TAG_TEXT]);

/* Whether a query of that level keeps the tag; Orthanc removes the others from a query that it
 * normalizes. */
bool orthanc_tag_kept(uint32_t tag, orthanc_level level);

/* What to use, or where to go, instead of a tag that the level does not keep; NULL = nothing
 * comes to mind. */
const char *orthanc_tag_advice(uint32_t tag, orthanc_level level);

/* Why the server's own index, searched at that level, does not match by the tag, as what to do
 * instead; NULL = it does, or reads the file of one instance. There, a tag that belongs to a lower
 * level matches nothing, or fails as an error of the database. */
const char *orthanc_tag_not_indexed(uint32_t tag, orthanc_level level);

/* How an answer of that level is identified: the tags of the level and of those above it that
 * C-MOVE needs. Ended by 0. */
const uint32_t *orthanc_unique_keys(orthanc_level level);

#endif
