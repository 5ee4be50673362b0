-- Finds studies at a modality, in any number, and writes them as CSV.
--
--   modalua scripts/find_studies.lua --from pacs --output studies.csv StudyDate=-7d ModalitiesInStudy=CT
--
-- find_all divides the search until each part is proven to be complete. Cells that a spreadsheet would run, such as =1+1, get a quote.
local modalua = require "modalua"
local arguments = require "modalua.arguments"
local tables = require "modalua.table"

local COLUMNS = { "StudyDate", "PatientID", "PatientName", "ModalitiesInStudy", "AccessionNumber", "StudyDescription", "StudyInstanceUID" }

local options <close> = arguments.read {
  about = "Finds studies at a modality, and writes them as CSV.",
  { "--from NAME", "the modality that is asked", playground = "pacs" },
  { "--output FILE", "the file; without it, the CSV is printed", optional = true },
  { "Tag=Value…", "which studies", playground = "PatientName=SMITH*" },
}
if options.dry_run then
  return arguments.announce(options, "search %s, and write %s", options.from, options.output or "to standard output")
end
local output <close> = options.output and arguments.output(options, "output") or nil -- before the search, which may take long
local query = {}
for _, column in ipairs(COLUMNS) do
  query[column] = ""
end
for tag, value in pairs(options.query) do
  query[tag] = value
end

local studies = {}
local iterator, walk = modalua.connect():modality(options.from):find_all { Level = "Study", Query = query }
for study in iterator do
  studies[#studies + 1] = study
end
table.sort(studies, function(a, b) return (a.StudyDate or "") < (b.StudyDate or "") end)

local text = tables.csv(COLUMNS, studies, { line_end = "\n", safe = true })
if output then
  output:write(text)
else
  assert(io.write(text))
  assert(io.stdout:flush())
end
io.stderr:write(("%d studies\n"):format(#studies), walk.warning and "warning: " .. walk.warning .. "\n" or "")
