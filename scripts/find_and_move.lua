-- Finds studies at one modality (C-FIND) and moves them to another one (C-MOVE), each by a request of its own, with an outcome of its own.
--
--   modalua scripts/find_and_move.lua --from pacs --to archive PatientID='03HD*' StudyDate=2024-01-01..2024-03-31
--
-- A study is moved, FAILED, or UNKNOWN: nothing tells whether it was moved. The exit status is 1 when a study is not moved.
local modalua = require "modalua"
local arguments = require "modalua.arguments"

local options <close> = arguments.read {
  about = "Finds studies at one modality, and moves them to another one.",
  { "--from NAME", "the modality that has the studies", playground = "pacs" },
  { "--to NAME", "the modality that receives them", playground = "archive" },
  { "--max N", "moves nothing when there are more studies", default = 100 },
  { "Tag=Value…", "which studies", playground = "PatientName=SMITH*" },
}
local orthanc = modalua.connect()
local source = orthanc:modality(options.from)
local query = { PatientName = "", StudyDate = "", StudyDescription = "" }
for tag, value in pairs(options.query) do
  query[tag] = value
end

local found <close> = assert(source:find { Level = "Study", Query = query })
local doubt = found.broad and "the filters do not narrow the search" or found.odd
  or found.unproven and "no answer shows that the modality looked at " .. table.concat(found.unproven, ", ")
if doubt then
  arguments.refuse(doubt .. ": nothing is moved")
elseif not arguments.announce(options, "move %d studies from %s to %s", #found.answers, options.from, options.to) then
  return
end
local outcomes, err = source:move_resources("Study", found.answers, { to = options.to, max = options.max })
local failed, study_of = 0, {}
for _, study in ipairs(found.answers) do
  study_of[study.StudyInstanceUID] = study
end
for _, outcome in ipairs(outcomes or assert(err.outcomes, err)) do
  local uid, why = outcome.resource.StudyInstanceUID, outcome.error and "\t" .. outcome.error.message or ""
  local study = study_of[uid]
  failed = failed + (outcome.error and 1 or 0)
  local word = not outcome.error and "moved" or outcome.error.kind == "unknown" and "UNKNOWN" or "FAILED"
  print(word, study.StudyDate or "", study.PatientName or "", study.StudyDescription or "", uid .. why)
end
print(("%d of %d studies moved from %s to %s"):format(#found.answers - failed, #found.answers, options.from, options.to))
os.exit(failed > 0 and 1 or 0)
