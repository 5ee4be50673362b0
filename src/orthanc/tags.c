#include "orthanc/tags.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/ascii.h"

enum {
    SOP_CLASS_UID = 0x00080016,
    SOP_INSTANCE_UID = 0x00080018,
    MODALITY = 0x00080060,
    MODALITIES_IN_STUDY = 0x00080061,
    SOP_CLASSES_IN_STUDY = 0x00080062,
    PATIENT_ID = 0x00100020,
    STUDY_INSTANCE_UID = 0x0020000d,
    SERIES_INSTANCE_UID = 0x0020000e
};

/* A level keeps its own tags and those of the levels above it. */
enum {
    AT_PATIENT = 1 << ORTHANC_PATIENT,
    AT_STUDY = 1 << ORTHANC_STUDY,
    AT_SERIES = 1 << ORTHANC_SERIES,
    FROM_INSTANCE = 1 << ORTHANC_INSTANCE,
    FROM_SERIES = AT_SERIES | FROM_INSTANCE,
    FROM_STUDY = AT_STUDY | FROM_SERIES,
    FROM_PATIENT = AT_PATIENT | FROM_STUDY
};

/* clang-format off */
const orthanc_tag orthanc_tags[] = {
    { "PatientName", 0x00100010, FROM_PATIENT, false },
    { "PatientID", 0x00100020, FROM_PATIENT, false },
    { "IssuerOfPatientID", 0x00100021, FROM_PATIENT, false },
    { "IssuerOfPatientIDQualifiersSequence", 0x00100024, FROM_PATIENT, true },
    { "PatientBirthDate", 0x00100030, FROM_PATIENT, false },
    { "PatientBirthTime", 0x00100032, FROM_PATIENT, false },
    { "PatientSex", 0x00100040, FROM_PATIENT, false },
    { "OtherPatientIDs", 0x00101000, FROM_PATIENT, false },
    { "OtherPatientNames", 0x00101001, FROM_PATIENT, false },
    { "OtherPatientIDsSequence", 0x00101002, FROM_PATIENT, true },
    { "EthnicGroup", 0x00102160, FROM_PATIENT, false },
    { "PatientSpeciesDescription", 0x00102201, FROM_PATIENT, false },
    { "PatientSpeciesCodeSequence", 0x00102202, FROM_PATIENT, true },
    { "PatientBreedDescription", 0x00102292, FROM_PATIENT, false },
    { "PatientBreedCodeSequence", 0x00102293, FROM_PATIENT, true },
    { "BreedRegistrationSequence", 0x00102294, FROM_PATIENT, true },
    { "ResponsiblePerson", 0x00102297, FROM_PATIENT, false },
    { "ResponsiblePersonRole", 0x00102298, FROM_PATIENT, false },
    { "ResponsibleOrganization", 0x00102299, FROM_PATIENT, false },
    { "PatientComments", 0x00104000, FROM_PATIENT, false },
    { "ReferencedPatientSequence", 0x00081120, FROM_PATIENT, true },
    { "PatientIdentityRemoved", 0x00120062, FROM_PATIENT, false },
    { "DeidentificationMethod", 0x00120063, FROM_PATIENT, false },
    { "DeidentificationMethodCodeSequence", 0x00120064, FROM_PATIENT, true },
    { "StudyInstanceUID", 0x0020000d, FROM_STUDY, false },
    { "StudyDate", 0x00080020, FROM_STUDY, false },
    { "StudyTime", 0x00080030, FROM_STUDY, false },
    { "AccessionNumber", 0x00080050, FROM_STUDY, false },
    { "IssuerOfAccessionNumberSequence", 0x00080051, FROM_STUDY, true },
    { "ReferringPhysicianName", 0x00080090, FROM_STUDY, false },
    { "ReferringPhysicianIdentificationSequence", 0x00080096, FROM_STUDY, true },
    { "StudyDescription", 0x00081030, FROM_STUDY, false },
    { "ProcedureCodeSequence", 0x00081032, FROM_STUDY, true },
    { "PhysiciansOfRecord", 0x00081048, FROM_STUDY, false },
    { "PhysiciansOfRecordIdentificationSequence", 0x00081049, FROM_STUDY, true },
    { "NameOfPhysiciansReadingStudy", 0x00081060, FROM_STUDY, false },
    { "PhysiciansReadingStudyIdentificationSequence", 0x00081062, FROM_STUDY, true },
    { "ReferencedStudySequence", 0x00081110, FROM_STUDY, true },
    { "StudyID", 0x00200010, FROM_STUDY, false },
    { "RequestingServiceCodeSequence", 0x00321034, FROM_STUDY, true },
    { "ReasonForPerformedProcedureCodeSequence", 0x00401012, FROM_STUDY, true },
    { "Modality", 0x00080060, FROM_SERIES, false },
    { "SeriesInstanceUID", 0x0020000e, FROM_SERIES, false },
    { "SeriesNumber", 0x00200011, FROM_SERIES, false },
    { "Laterality", 0x00200060, FROM_SERIES, false },
    { "SeriesDate", 0x00080021, FROM_SERIES, false },
    { "SeriesTime", 0x00080031, FROM_SERIES, false },
    { "SeriesDescription", 0x0008103e, FROM_SERIES, false },
    { "SeriesDescriptionCodeSequence", 0x0008103f, FROM_SERIES, true },
    { "PerformingPhysicianName", 0x00081050, FROM_SERIES, false },
    { "PerformingPhysicianIdentificationSequence", 0x00081052, FROM_SERIES, true },
    { "OperatorsName", 0x00081070, FROM_SERIES, false },
    { "OperatorIdentificationSequence", 0x00081072, FROM_SERIES, true },
    { "ReferencedPerformedProcedureStepSequence", 0x00081111, FROM_SERIES, true },
    { "RelatedSeriesSequence", 0x00081250, FROM_SERIES, true },
    { "AnatomicalOrientationType", 0x00102210, FROM_SERIES, false },
    { "BodyPartExamined", 0x00180015, FROM_SERIES, false },
    { "ProtocolName", 0x00181030, FROM_SERIES, false },
    { "PatientPosition", 0x00185100, FROM_SERIES, false },
    { "SmallestPixelValueInSeries", 0x00280108, FROM_SERIES, false },
    { "PerformedProcedureStepStartDate", 0x00400244, FROM_SERIES, false },
    { "PerformedProcedureStepStartTime", 0x00400245, FROM_SERIES, false },
    { "PerformedProcedureStepID", 0x00400253, FROM_SERIES, false },
    { "PerformedProcedureStepDescription", 0x00400254, FROM_SERIES, false },
    { "PerformedProtocolCodeSequence", 0x00400260, FROM_SERIES, true },
    { "RequestAttributesSequence", 0x00400275, FROM_SERIES, true },
    { "CommentsOnThePerformedProcedureStep", 0x00400280, FROM_SERIES, false },
    { "SOPClassUID", 0x00080016, FROM_INSTANCE, false },
    { "SOPInstanceUID", 0x00080018, FROM_INSTANCE, false },
    { "InstanceCreationDate", 0x00080012, FROM_INSTANCE, false },
    { "InstanceCreationTime", 0x00080013, FROM_INSTANCE, false },
    { "InstanceCreatorUID", 0x00080014, FROM_INSTANCE, false },
    { "RelatedGeneralSOPClassUID", 0x0008001a, FROM_INSTANCE, false },
    { "OriginalSpecializedSOPClassUID", 0x0008001b, FROM_INSTANCE, false },
    { "CodingSchemeIdentificationSequence", 0x00080110, FROM_INSTANCE, true },
    { "TimezoneOffsetFromUTC", 0x00080201, FROM_INSTANCE, false },
    { "ContributingEquipmentSequence", 0x0018a001, FROM_INSTANCE, true },
    { "InstanceNumber", 0x00200013, FROM_INSTANCE, false },
    { "LongitudinalTemporalInformationModified", 0x00280303, FROM_INSTANCE, false },
    { "HL7StructuredDocumentReferenceSequence", 0x0040a390, FROM_INSTANCE, true },
    { "SOPInstanceStatus", 0x01000410, FROM_INSTANCE, false },
    { "SOPAuthorizationDateTime", 0x01000420, FROM_INSTANCE, false },
    { "SOPAuthorizationComment", 0x01000424, FROM_INSTANCE, false },
    { "AuthorizationEquipmentCertificationNumber", 0x01000426, FROM_INSTANCE, false },
    { "EncryptedAttributesSequence", 0x04000500, FROM_INSTANCE, true },
    { "OriginalAttributesSequence", 0x04000561, FROM_INSTANCE, true },
    { "MACParametersSequence", 0x4ffe0001, FROM_INSTANCE, true },
    { "DigitalSignaturesSequence", 0xfffafffa, FROM_INSTANCE, true },
    { "NumberOfPatientRelatedStudies", 0x00201200, AT_PATIENT, false },
    { "NumberOfPatientRelatedSeries", 0x00201202, AT_PATIENT, false },
    { "NumberOfPatientRelatedInstances", 0x00201204, AT_PATIENT, false },
    { "ModalitiesInStudy", 0x00080061, AT_STUDY, false },
    { "SOPClassesInStudy", 0x00080062, AT_STUDY, false },
    { "NumberOfStudyRelatedSeries", 0x00201206, AT_STUDY, false },
    { "NumberOfStudyRelatedInstances", 0x00201208, AT_STUDY, false },
    { "NumberOfSeriesRelatedInstances", 0x00201209, AT_SERIES, false },
    { "QueryRetrieveLevel", 0x00080052, 0, false }, /* Orthanc adds it to every query */
    { "SpecificCharacterSet", 0x00080005, FROM_PATIENT, false },
    { NULL, 0, 0, false }
};
/* clang-format on */

/* ---- levels ---- */

static const struct level_word {
    const char *word;
    orthanc_level level;
} level_words[] = { { "Patient", ORTHANC_PATIENT },
                    { "Study", ORTHANC_STUDY },
                    { "Series", ORTHANC_SERIES },
                    { "Instance", ORTHANC_INSTANCE },
                    { "Image", ORTHANC_INSTANCE } };

static bool same_word(const char *a, const char *b)
{
    while (*a && tolower((unsigned char)*a) == tolower((unsigned char)*b))
        a++, b++;
    return *a == *b;
}

orthanc_level orthanc_level_of(const char *word)
{
    for (size_t i = 0; i < sizeof level_words / sizeof level_words[0]; i++)
        if (same_word(word, level_words[i].word))
            return level_words[i].level;
    return ORTHANC_NO_LEVEL;
}

const char *orthanc_level_name(orthanc_level level)
{
    return level < ORTHANC_NO_LEVEL ? level_words[level].word : NULL;
}

const uint32_t *orthanc_unique_keys(orthanc_level level)
{
    static const uint32_t keys[][4] = { { PATIENT_ID },
                                        { STUDY_INSTANCE_UID },
                                        { STUDY_INSTANCE_UID, SERIES_INSTANCE_UID },
                                        { STUDY_INSTANCE_UID, SERIES_INSTANCE_UID,
                                          SOP_INSTANCE_UID } };
    return keys[level];
}

/* ---- tags ---- */

/* Reads gggg,eeee, gggg-eeee or ggggeeee. */
static bool parse_digits(const char *key, uint32_t *tag)
{
    size_t n = strlen(key), gap = n == 9 ? 1 : 0;
    uint32_t value = 0;
    if (n != 8 + gap || (gap && key[4] != ',' && key[4] != '-'))
        return false;
    for (size_t i = 0; i < n; i++) {
        int digit = ascii_hex_value(key[i]);
        if (gap && i == 4)
            continue;
        if (digit < 0)
            return false;
        value = value << 4 | (uint32_t)digit;
    }
    *tag = value;
    return true;
}

bool orthanc_tag_parse(const char *key, uint32_t *tag)
{
    if (parse_digits(key, tag))
        return true;
    for (const orthanc_tag *row = orthanc_tags; row->name; row++)
        if (strcmp(row->name, key) == 0) {
            *tag = row->tag;
            return true;
        }
    return false;
}

const orthanc_tag *orthanc_tag_row(uint32_t tag)
{
    for (const orthanc_tag *row = orthanc_tags; row->name; row++)
        if (row->tag == tag)
            return row;
    return NULL;
}

const char *orthanc_tag_forbidden(uint32_t tag)
{
    uint32_t group = tag >> 16;
    if (group == 0xfffe)
        return "is a mark between the items of a sequence, which ends the server";
    if (group == 0x0000)
        return "belongs to the messages of DICOM, and not to a query";
    return group == 0x0002 ? "belongs to the header of files, and not to a query" : NULL;
}

void orthanc_tag_write(uint32_t tag, char text[ORTHANC_TAG_TEXT])
{
    snprintf(text, ORTHANC_TAG_TEXT, "%04x,%04x", (unsigned)(tag >> 16), (unsigned)(tag & 0xffff));
}

bool orthanc_tag_kept(uint32_t tag, orthanc_level level)
{
    const orthanc_tag *row = orthanc_tag_row(tag);
    return row && !row->sequence && (row->levels & 1u << level);
}

static const char *const at_level[] = { "", "search at Level = \"Study\"",
                                        "search at Level = \"Series\"",
                                        "search at Level = \"Instance\"" };

const char *orthanc_tag_advice(uint32_t tag, orthanc_level level)
{
    static const struct {
        uint32_t tag;
        orthanc_level level;
        const char *advice;
    } special[] = {
        { MODALITY, ORTHANC_STUDY, "use ModalitiesInStudy" },
        { SOP_CLASS_UID, ORTHANC_STUDY, "use SOPClassesInStudy" },
        { MODALITIES_IN_STUDY, ORTHANC_SERIES, "use Modality" },
        { MODALITIES_IN_STUDY, ORTHANC_PATIENT, "search at Level = \"Study\"" },
    };
    const orthanc_tag *row = orthanc_tag_row(tag);
    for (size_t i = 0; i < sizeof special / sizeof special[0]; i++)
        if (special[i].tag == tag && special[i].level == level)
            return special[i].advice;
    if (row && row->sequence)
        return "only worklists can be searched by a sequence";
    for (int below = (int)level + 1; row && below < ORTHANC_NO_LEVEL; below++)
        if (row->levels & 1u << below)
            return at_level[below];
    return NULL;
}

/* ---- the server's own index ---- */

/* The level of a main DICOM tag that the index has and that is not in orthanc_tags; ORTHANC_PATIENT for
 * another tag. */
static orthanc_level main_level(uint32_t tag)
{
    static const struct {
        orthanc_level level;
        uint32_t tag;
    } rows[] = {
        { ORTHANC_STUDY, 0x00080080 },    { ORTHANC_STUDY, 0x00321032 },
        { ORTHANC_STUDY, 0x00321060 },    { ORTHANC_SERIES, 0x00080070 },
        { ORTHANC_SERIES, 0x00081010 },   { ORTHANC_SERIES, 0x00180010 },
        { ORTHANC_SERIES, 0x00180024 },   { ORTHANC_SERIES, 0x00181090 },
        { ORTHANC_SERIES, 0x00181400 },   { ORTHANC_SERIES, 0x00200105 },
        { ORTHANC_SERIES, 0x00201002 },   { ORTHANC_SERIES, 0x00540081 },
        { ORTHANC_SERIES, 0x00540101 },   { ORTHANC_SERIES, 0x00541000 },
        { ORTHANC_INSTANCE, 0x00200012 }, { ORTHANC_INSTANCE, 0x00200032 },
        { ORTHANC_INSTANCE, 0x00200037 }, { ORTHANC_INSTANCE, 0x00200100 },
        { ORTHANC_INSTANCE, 0x00204000 }, { ORTHANC_INSTANCE, 0x00280008 },
        { ORTHANC_INSTANCE, 0x00541330 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].tag == tag)
            return rows[i].level;
    return ORTHANC_PATIENT;
}

const char *orthanc_tag_not_indexed(uint32_t tag, orthanc_level level)
{
    const orthanc_tag *row = orthanc_tag_row(tag);
    const char *advice;
    if (tag == SOP_CLASSES_IN_STUDY || (tag == SOP_CLASS_UID && level < ORTHANC_INSTANCE))
        return "search at Level = \"Instance\" with SOPClassUID";
    if (main_level(tag) > level)
        return at_level[main_level(tag)];
    if (!row || (!row->sequence && (row->levels & 1u << level)))
        return NULL;
    if (row->sequence)
        return "the index has no sequences";
    advice = orthanc_tag_advice(tag, level);
    return advice ? advice : "the index does not have it at this level";
}
