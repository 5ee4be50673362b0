-- Finds studies at one modality (C-FIND) and moves them to another one (C-MOVE). Each study is moved by a request of its own, so each has
-- an outcome of its own.
--
--   modalua scripts/find_and_move.lua SOURCE TARGET [--max N] Tag=Value…
--   modalua scripts/find_and_move.lua pacs archive PatientID='03HD*' StudyDate=20240101-20240331
--
-- SOURCE and TARGET are names of modalities, as scripts/echo_all.lua lists them. At least one filter must have a value. When more than N
-- studies are found (default: 100), nothing is moved. The exit status is 1 when a study was not moved.
-- The server is the one in MODALUA_URL (with MODALUA_USERNAME and MODALUA_PASSWORD), or http://localhost:8042.
local modalua = require "modalua"

local function usage(message)
  io.stderr:write((message and message .. "\n" or "") .. "usage: modalua scripts/find_and_move.lua SOURCE TARGET [--max N] Tag=Value…\n")
  os.exit(2)
end

local names, query, max = {}, { PatientName = "", StudyDate = "", StudyDescription = "" }, 100
local has_filter, i = false, 1
while arg[i] do
  local tag, value = arg[i]:match "^([^=%-][^=]*)=(.*)$"
  if tag then
    query[tag] = value
    has_filter = has_filter or value:find "%w" ~= nil
  elseif arg[i] == "--max" then
    i = i + 1
    max = math.tointeger(tonumber(arg[i])) or usage "--max needs a whole number"
  else
    names[#names + 1] = arg[i]
  end
  i = i + 1
end
if #names ~= 2 then
  usage()
elseif not has_filter then
  usage "no filter has a value, so this would move everything"
end

local orthanc = modalua.connect()
local source, target = orthanc:modality(names[1]), orthanc:modality(names[2])

local found <close> = assert(source:find { Level = "Study", Query = query })
if #found.answers > max then
  io.stderr:write(("%s has %d of these studies, and --max is %d: nothing was moved\n"):format(names[1], #found.answers, max))
  os.exit(1)
end

local failed = 0
for _, study in ipairs(found.answers) do
  local moved, err = source:move_resources("Study", study, { to = target })
  print(moved and "moved" or "FAILED", study.StudyDate or "", study.PatientName or "", study.StudyDescription or "", study.StudyInstanceUID)
  if not moved then
    failed = failed + 1
    io.stderr:write(study.StudyInstanceUID, ": ", tostring(err), "\n")
  end
end
print(("%d of %d studies moved from %s to %s"):format(#found.answers - failed, #found.answers, names[1], names[2]))
if failed > 0 then
  os.exit(1)
end
