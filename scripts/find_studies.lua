-- Finds studies at a modality (C-FIND) and prints a line for each, with tabs between the cells.
--
--   modalua scripts/find_studies.lua MODALITY [Tag=Value]…
--   modalua scripts/find_studies.lua pacs PatientID='03HD*' StudyDate=20240101-20240331 ModalitiesInStudy=CT
--
-- A tag is a DICOM keyword, or gggg,eeee. The server is the one in MODALUA_URL (with MODALUA_USERNAME and MODALUA_PASSWORD), or
-- http://localhost:8042.
local modalua = require "modalua"

local COLUMNS = { "StudyDate", "PatientID", "PatientName", "ModalitiesInStudy", "AccessionNumber", "StudyDescription", "StudyInstanceUID" }

local function usage()
  io.stderr:write("usage: modalua scripts/find_studies.lua MODALITY [Tag=Value]…\n")
  os.exit(2)
end

local name = arg[1] or usage()
local query = {}
for _, column in ipairs(COLUMNS) do
  query[column] = ""
end
for i = 2, #arg do
  local tag, value = arg[i]:match "^([^=]+)=(.*)$"
  query[tag or usage()] = value
end

local found <close> = assert(modalua.connect():modality(name):find { Level = "Study", Query = query })
table.sort(found.answers, function(a, b) return (a.StudyDate or "") < (b.StudyDate or "") end)

print(table.concat(COLUMNS, "\t"))
for _, study in ipairs(found.answers) do
  local line = {}
  for i, column in ipairs(COLUMNS) do
    line[i] = (study[column] or ""):gsub("%c", " ")
  end
  print(table.concat(line, "\t"))
end
io.stderr:write(("%d studies\n"):format(#found.answers))
if found.warning then
  io.stderr:write("warning: " .. found.warning .. "\n")
end
