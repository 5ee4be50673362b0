-- Compares two archives, and lists the studies that the second one lacks, or has with fewer images.
--
--   modalua scripts/compare_archives.lua --from pacs --to archive StudyDate=2024-01-01..2024-12-31 >missing.csv
--   modalua scripts/pull_cohort.lua --from pacs --to archive --list missing.csv --column StudyInstanceUID --result result.csv
--
-- It only asks. Each search is divided until it is proven to be complete, at any size. The exit status is 1 when something is missing.
local modalua = require "modalua"
local arguments = require "modalua.arguments"
local tables = require "modalua.table"

local COLUMNS = { "StudyInstanceUID", "StudyDate", "AccessionNumber", "NumberOfStudyRelatedInstances", "there" }

local options <close> = arguments.read {
  about = "Lists the studies of one archive that another one lacks, or has with fewer images.",
  { "--from NAME", "the archive that is complete", playground = "pacs" },
  { "--to NAME", "the archive that may lack something", playground = "archive" },
  { "Tag=Value…", "which studies", playground = "StudyDate=2020-01-01..", example = "StudyDate=2024-01-01..2024-12-31" },
}
if options.dry_run then
  return arguments.announce(options, "search %s and %s, and compare", options.from, options.to)
end
local query = { StudyDate = "", AccessionNumber = "", NumberOfStudyRelatedInstances = "" }
for tag, value in pairs(options.query) do
  query[tag] = value
end
local orthanc = modalua.connect()

local function images_of(study)
  return tonumber(study.NumberOfStudyRelatedInstances) or 0
end

local there, missing, count = {}, {}, 0
for study in orthanc:modality(options.to):find_all { Level = "Study", Query = query } do
  there[study.StudyInstanceUID] = images_of(study)
end
for study in orthanc:modality(options.from):find_all { Level = "Study", Query = query } do
  study.there, count = there[study.StudyInstanceUID] or "", count + 1
  missing[#missing + 1] = (study.there == "" or study.there < images_of(study)) and study or nil
end
io.write(tables.csv(COLUMNS, missing, { line_end = "\n", safe = true }))
io.stderr:write(("%d of %d studies are missing or incomplete at %s\n"):format(#missing, count, options.to))
os.exit(missing[1] and 1 or 0)
