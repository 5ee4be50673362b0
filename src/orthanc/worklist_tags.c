#include "orthanc/worklist_tags.h"

#include <stddef.h>
#include <string.h>

#include "orthanc/tags.h"

/* Patient-level tags of orthanc_tags need no row: their place is at the top. */
/* clang-format off */
const orthanc_worklist_tag orthanc_worklist_tags[] = {
    { "ScheduledProcedureStepSequence", ORTHANC_STEP_SEQUENCE, ORTHANC_AT_TOP, true },
    { "ScheduledStationAETitle", 0x00400001, ORTHANC_IN_STEP, false },
    { "ScheduledProcedureStepStartDate", 0x00400002, ORTHANC_IN_STEP, false },
    { "ScheduledProcedureStepStartTime", 0x00400003, ORTHANC_IN_STEP, false },
    { "ScheduledProcedureStepEndDate", 0x00400004, ORTHANC_IN_STEP, false },
    { "ScheduledProcedureStepEndTime", 0x00400005, ORTHANC_IN_STEP, false },
    { "ScheduledPerformingPhysicianName", 0x00400006, ORTHANC_IN_STEP, false },
    { "ScheduledProcedureStepDescription", 0x00400007, ORTHANC_IN_STEP, false },
    { "ScheduledProtocolCodeSequence", 0x00400008, ORTHANC_IN_STEP, true },
    { "ScheduledProcedureStepID", 0x00400009, ORTHANC_IN_STEP, false },
    { "ScheduledPerformingPhysicianIdentificationSequence", 0x0040000b, ORTHANC_IN_STEP, true },
    { "ScheduledStationName", 0x00400010, ORTHANC_IN_STEP, false },
    { "ScheduledProcedureStepLocation", 0x00400011, ORTHANC_IN_STEP, false },
    { "PreMedication", 0x00400012, ORTHANC_IN_STEP, false },
    { "ScheduledProcedureStepStatus", 0x00400020, ORTHANC_IN_STEP, false },
    { "ScheduledSpecimenSequence", 0x00400500, ORTHANC_IN_STEP, true },
    { "CommentsOnTheScheduledProcedureStep", 0x00400400, ORTHANC_IN_STEP, false },
    { "RequestedContrastAgent", 0x00321070, ORTHANC_IN_STEP, false },
    { "Modality", 0x00080060, ORTHANC_IN_STEP, false },
    { "RequestedProcedureID", 0x00401001, ORTHANC_AT_TOP, false },
    { "RequestedProcedureDescription", 0x00321060, ORTHANC_AT_TOP, false },
    { "RequestedProcedureCodeSequence", 0x00321064, ORTHANC_AT_TOP, true },
    { "RequestedProcedurePriority", 0x00401003, ORTHANC_AT_TOP, false },
    { "RequestedProcedureLocation", 0x00401005, ORTHANC_AT_TOP, false },
    { "RequestedProcedureComments", 0x00401400, ORTHANC_AT_TOP, false },
    { "ReasonForTheRequestedProcedure", 0x00401002, ORTHANC_AT_TOP, false },
    { "ReasonForRequestedProcedureCodeSequence", 0x0040100a, ORTHANC_AT_TOP, true },
    { "NamesOfIntendedRecipientsOfResults", 0x00401010, ORTHANC_AT_TOP, false },
    { "ReportingPriority", 0x00401009, ORTHANC_AT_TOP, false },
    { "PatientTransportArrangements", 0x00401004, ORTHANC_AT_TOP, false },
    { "StudyInstanceUID", 0x0020000d, ORTHANC_AT_TOP, false },
    { "StudyDate", 0x00080020, ORTHANC_AT_TOP, false },
    { "StudyTime", 0x00080030, ORTHANC_AT_TOP, false },
    { "ReferencedStudySequence", 0x00081110, ORTHANC_AT_TOP, true },
    { "AccessionNumber", 0x00080050, ORTHANC_AT_TOP, false },
    { "IssuerOfAccessionNumberSequence", 0x00080051, ORTHANC_AT_TOP, true },
    { "ReferringPhysicianName", 0x00080090, ORTHANC_AT_TOP, false },
    { "ReferringPhysicianIdentificationSequence", 0x00080096, ORTHANC_AT_TOP, true },
    { "RequestingPhysician", 0x00321032, ORTHANC_AT_TOP, false },
    { "RequestingService", 0x00321033, ORTHANC_AT_TOP, false },
    { "RequestingServiceCodeSequence", 0x00321034, ORTHANC_AT_TOP, true },
    { "ReasonForTheImagingServiceRequest", 0x00402001, ORTHANC_AT_TOP, false },
    { "ImagingServiceRequestComments", 0x00402400, ORTHANC_AT_TOP, false },
    { "IssueDateOfImagingServiceRequest", 0x00402004, ORTHANC_AT_TOP, false },
    { "IssueTimeOfImagingServiceRequest", 0x00402005, ORTHANC_AT_TOP, false },
    { "PlacerOrderNumberImagingServiceRequest", 0x00402016, ORTHANC_AT_TOP, false },
    { "FillerOrderNumberImagingServiceRequest", 0x00402017, ORTHANC_AT_TOP, false },
    { "OrderEnteredBy", 0x00402008, ORTHANC_AT_TOP, false },
    { "OrderCallbackPhoneNumber", 0x00402010, ORTHANC_AT_TOP, false },
    { "InstitutionName", 0x00080080, ORTHANC_AT_TOP, false },
    { "AdmissionID", 0x00380010, ORTHANC_AT_TOP, false },
    { "IssuerOfAdmissionIDSequence", 0x00380014, ORTHANC_AT_TOP, true },
    { "CurrentPatientLocation", 0x00380300, ORTHANC_AT_TOP, false },
    { "PatientInstitutionResidence", 0x00380400, ORTHANC_AT_TOP, false },
    { "VisitStatusID", 0x00380008, ORTHANC_AT_TOP, false },
    { "VisitComments", 0x00384000, ORTHANC_AT_TOP, false },
    { "ReferencedPatientSequence", 0x00081120, ORTHANC_AT_TOP, true },
    { "PatientAge", 0x00101010, ORTHANC_AT_TOP, false },
    { "PatientSize", 0x00101020, ORTHANC_AT_TOP, false },
    { "PatientWeight", 0x00101030, ORTHANC_AT_TOP, false },
    { "PatientAddress", 0x00101040, ORTHANC_AT_TOP, false },
    { "PatientMotherBirthName", 0x00101060, ORTHANC_AT_TOP, false },
    { "PatientTelephoneNumbers", 0x00102154, ORTHANC_AT_TOP, false },
    { "Occupation", 0x00102180, ORTHANC_AT_TOP, false },
    { "SmokingStatus", 0x001021a0, ORTHANC_AT_TOP, false },
    { "AdditionalPatientHistory", 0x001021b0, ORTHANC_AT_TOP, false },
    { "MedicalAlerts", 0x00102000, ORTHANC_AT_TOP, false },
    { "Allergies", 0x00102110, ORTHANC_AT_TOP, false },
    { "PregnancyStatus", 0x001021c0, ORTHANC_AT_TOP, false },
    { "LastMenstrualDate", 0x001021d0, ORTHANC_AT_TOP, false },
    { "SpecialNeeds", 0x00380050, ORTHANC_AT_TOP, false },
    { "PatientState", 0x00380500, ORTHANC_AT_TOP, false },
    { "ConfidentialityConstraintOnPatientDataDescription", 0x00403001, ORTHANC_AT_TOP, false },
    { "TimezoneOffsetFromUTC", 0x00080201, ORTHANC_AT_TOP, false },
    { "SpecificCharacterSet", 0x00080005, ORTHANC_AT_TOP, false },
    { "CodeValue", 0x00080100, ORTHANC_IN_OTHER, false },
    { "CodingSchemeDesignator", 0x00080102, ORTHANC_IN_OTHER, false },
    { "CodingSchemeVersion", 0x00080103, ORTHANC_IN_OTHER, false },
    { "CodeMeaning", 0x00080104, ORTHANC_IN_OTHER, false },
    { "ReferencedSOPClassUID", 0x00081150, ORTHANC_IN_OTHER, false },
    { "ReferencedSOPInstanceUID", 0x00081155, ORTHANC_IN_OTHER, false },
    { NULL, 0, ORTHANC_NOWHERE, false }
};
/* clang-format on */

const orthanc_worklist_tag *orthanc_worklist_row(uint32_t tag)
{
    for (const orthanc_worklist_tag *row = orthanc_worklist_tags; row->name; row++)
        if (row->tag == tag)
            return row;
    return NULL;
}

bool orthanc_worklist_parse(const char *key, uint32_t *tag)
{
    if (orthanc_tag_parse(key, tag))
        return true;
    for (const orthanc_worklist_tag *row = orthanc_worklist_tags; row->name; row++)
        if (strcmp(row->name, key) == 0) {
            *tag = row->tag;
            return true;
        }
    return false;
}

unsigned orthanc_worklist_places(uint32_t tag)
{
    const orthanc_worklist_tag *row = orthanc_worklist_row(tag);
    const orthanc_tag *other = row ? NULL : orthanc_tag_row(tag);
    if (row)
        return row->places;
    return other && other->levels & 1u << ORTHANC_PATIENT ? ORTHANC_AT_TOP : ORTHANC_NOWHERE;
}

bool orthanc_worklist_is_sequence(uint32_t tag)
{
    const orthanc_worklist_tag *row = orthanc_worklist_row(tag);
    const orthanc_tag *other = row ? NULL : orthanc_tag_row(tag);
    return row ? row->sequence : other && other->sequence;
}

const char *orthanc_worklist_name(uint32_t tag)
{
    const orthanc_worklist_tag *row = orthanc_worklist_row(tag);
    const orthanc_tag *other = row ? NULL : orthanc_tag_row(tag);
    return row ? row->name : other ? other->name : NULL;
}
