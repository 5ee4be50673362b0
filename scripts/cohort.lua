-- Finds the studies of a list of accession numbers, moves them to another modality, and prints the outcome of each as CSV.
--
--   modalua scripts/cohort.lua SOURCE TARGET FILE >result.csv
--   modalua scripts/cohort.lua pacs archive accession-numbers.txt
--
-- FILE has one accession number on each line ("-" is standard input). A blank line is an error, and then no request is sent.
-- The exit status is 1 when a number was not found, or when a study was not moved.
-- The server is the one in MODALUA_URL, or the default server of your configuration file (modalua --help).
local modalua = require "modalua"

if #arg ~= 3 then
  io.stderr:write "usage: modalua scripts/cohort.lua SOURCE TARGET FILE\n"
  os.exit(2)
end

local numbers = {}
for line in arg[3] == "-" and io.lines() or io.lines(arg[3]) do
  numbers[#numbers + 1] = line:gsub("\r$", "")
end

local function write_csv_line(...)
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
local moved, not_moved = 0, 0
write_csv_line("AccessionNumber", "PatientID", "StudyDate", "StudyInstanceUID", "outcome")
for _, number in ipairs(missing) do
  write_csv_line(number, "", "", "", "not found")
end
for number, studies in pairs(by_number) do
  for _, study in ipairs(studies) do
    local done, err = source:move_resources("Study", study, { to = target, progress = true })
    write_csv_line(number, study.PatientID, study.StudyDate, study.StudyInstanceUID, done and "moved" or err.message)
    moved, not_moved = moved + (done and 1 or 0), not_moved + (done and 0 or 1)
  end
end
io.stderr:write(("%d studies moved from %s to %s; %d numbers not found, %d studies not moved\n"):format(moved, arg[1], arg[2], #missing,
  not_moved))
if #missing + not_moved > 0 then
  os.exit(1)
end
