-- Writes studies into ZIP files, one for each study. What a modality has is brought to the Orthanc server first.
--
--   modalua scripts/export_zip.lua --folder /mnt/export AccessionNumber=A100702                what the server itself holds
--   modalua scripts/export_zip.lua --folder /mnt/export --from pacs AccessionNumber=A100702
--
-- The files are called by their StudyInstanceUID, and appear under this name when they are complete.
local modalua = require "modalua"
local arguments = require "modalua.arguments"

local options <close> = arguments.read {
  about = "Writes studies into ZIP files, one for each study.",
  { "--folder PATH", "where the files go", default = "." },
  { "--from NAME", "the modality that has the studies; without it, those that the server holds", optional = true, playground = "pacs" },
  { "--max N", "does nothing when there are more studies", default = 20 },
  { "--dicomdir", "with a DICOMDIR, as for a CD" },
  { "Tag=Value…", "which studies", playground = "AccessionNumber=A100702" },
}
local orthanc = modalua.connect()
arguments.announce(options, "write ZIP files of studies of %s into %s", options.from or "the server", options.folder)
if options.from then
  local source = orthanc:modality(options.from)
  local found <close> = assert(source:find { Level = "Study", Query = options.query })
  assert(options.dry_run or source:move(found, { max = options.max })) -- without `to`, this Orthanc receives
end
local studies = assert(orthanc:find { Level = "Study", Query = options.query, Expand = true })
if #studies > options.max then
  arguments.refuse(("--max: there are %d studies, and at most %d are written"):format(#studies, options.max))
end

for _, study in ipairs(studies) do
  local file = ("%s/%s.zip"):format(options.folder, study.MainDicomTags.StudyInstanceUID)
  local route = ("/studies/%s/%s"):format(study.ID, options.dicomdir and "media" or "archive")
  local bytes = not options.dry_run and assert(orthanc:download(route, file))
  print(file, bytes and bytes .. " bytes" or "would be written")
end
