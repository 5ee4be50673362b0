-- Finds the studies of a list of accession numbers, has them sent to another modality, and prints what became of each, as CSV.
--
--   modalua scripts/cohort.lua SOURCE TARGET FILE >result.csv
--   modalua scripts/cohort.lua pacs archive accession-numbers.txt
--
-- FILE has one accession number a line ("-": standard input); a blank one is an error, and nothing is asked then. Exit status 1 when a
-- number was not found, or a study not moved. The server is that of MODALUA_URL, or of your configuration file (modalua --help).
local modalua = require "modalua"

if #arg ~= 3 then
  io.stderr:write "usage: modalua scripts/cohort.lua SOURCE TARGET FILE\n"
  os.exit(2)
end

local numbers = {}
for line in arg[3] == "-" and io.lines() or io.lines(arg[3]) do
  numbers[#numbers + 1] = line:gsub("\r$", "")
end

local function write(...)
  local cells = table.pack(...)
  for i = 1, cells.n do
    local text = tostring(cells[i] or "")
    cells[i] = text:find '[",\n]' and '"' .. text:gsub('"', '""') .. '"' or text
  end
  io.write(table.concat(cells, ","), "\n")
end

local orthanc = modalua.connect()
local source, target = orthanc:modality(arg[1]), orthanc:modality(arg[2])

local by_number, missing = assert(source:find_each("AccessionNumber", numbers, { Query = { PatientID = "", StudyDate = "" } }))
local bad, moved = #missing, 0
write("AccessionNumber", "PatientID", "StudyDate", "StudyInstanceUID", "outcome")
for _, number in ipairs(missing) do
  write(number, "", "", "", "not found")
end
for number, studies in pairs(by_number) do
  for _, study in ipairs(studies) do
    local done, err = source:move_resources("Study", study, { to = target, progress = true })
    write(number, study.PatientID, study.StudyDate, study.StudyInstanceUID, done and "moved" or err.message)
    moved, bad = moved + (done and 1 or 0), bad + (done and 0 or 1)
  end
end
io.stderr:write(("%d studies moved from %s to %s; %d numbers not found, %d studies not moved\n"):format(moved, arg[1], arg[2], #missing,
  bad - #missing))
if bad > 0 then
  os.exit(1)
end
