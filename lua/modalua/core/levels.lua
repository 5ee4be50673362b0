-- core.levels: the levels of DICOM's query/retrieve model.
local levels = {}

levels.NAMES = { "Patient", "Study", "Series", "Instance" }
levels.RANK = { Patient = 1, Study = 2, Series = 3, Instance = 4 }
-- The tag that identifies a resource of the level: its unique key (DICOM PS3.4 C.6).
levels.UNIQUE = { Patient = "PatientID", Study = "StudyInstanceUID", Series = "SeriesInstanceUID", Instance = "SOPInstanceUID" }

-- How DICOM writes a level in QueryRetrieveLevel, and the level of such a word.
levels.WORDS = { Patient = "PATIENT", Study = "STUDY", Series = "SERIES", Instance = "IMAGE" }
levels.OF_WORD = { PATIENT = "Patient", STUDY = "Study", SERIES = "Series", IMAGE = "Instance" }

local PLURALS = { Patient = "patients", Study = "studies", Series = "series", Instance = "instances" }

-- "1 study", "3 studies".
function levels.count(n, level)
  return ("%d %s"):format(n, n == 1 and level:lower() or PLURALS[level])
end
levels.PLURALS = PLURALS

return levels
