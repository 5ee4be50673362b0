-- core.levels: the levels of DICOM's query/retrieve model.
local levels = {}

levels.NAMES = { "Patient", "Study", "Series", "Instance" }
levels.RANK = { Patient = 1, Study = 2, Series = 3, Instance = 4 }
levels.UNIQUE = { Patient = "PatientID", Study = "StudyInstanceUID", Series = "SeriesInstanceUID", Instance = "SOPInstanceUID" }

return levels
