-- Finds studies at one modality and has it send them to another one (C-FIND, C-MOVE), one by one, so that each has an outcome of its own.
--
--   modalua scripts/find_and_move.lua SOURCE TARGET [--max N] Tag=Value…
--   modalua scripts/find_and_move.lua pacs archive PatientID='03HD*' StudyDate=20240101-20240331
--
-- SOURCE and TARGET are names of modalities, as scripts/echo_all.lua lists them. At least one filter has to say something, and more
-- than N studies (100) are not moved. Exit status 1 when a study was not moved.
-- The server is that of MODALUA_URL (with MODALUA_USERNAME and MODALUA_PASSWORD), or http://localhost:8042.
local modalua = require "modalua"

local function usage(why)
  io.stderr:write((why and why .. "\n" or "") .. "usage: modalua scripts/find_and_move.lua SOURCE TARGET [--max N] Tag=Value…\n")
  os.exit(2)
end

local function complain(text, err)
  io.stderr:write(text, ": ", tostring(err), "\n")
end

local names, query, max = {}, { PatientName = "", StudyDate = "", StudyDescription = "" }, 100
local filtered, i = false, 1
while arg[i] do
  local tag, value = arg[i]:match "^([^=%-][^=]*)=(.*)$"
  if tag then
    query[tag] = value
    filtered = filtered or value:find "%w" ~= nil
  elseif arg[i] == "--max" then
    i = i + 1
    max = math.tointeger(tonumber(arg[i])) or usage "--max wants a whole number"
  else
    names[#names + 1] = arg[i]
  end
  i = i + 1
end
if #names ~= 2 then
  usage()
elseif not filtered then
  usage "without a filter this would move everything"
end

local orthanc = modalua.connect()
local source, target = orthanc:modality(names[1]), orthanc:modality(names[2])

local found <close> = assert(source:find { Level = "Study", Query = query })
if #found.answers > max then
  io.stderr:write(("%s has %d such studies, and --max is %d: nothing was moved\n"):format(names[1], #found.answers, max))
  os.exit(1)
end

local failed = 0
for _, study in ipairs(found.answers) do
  local moved, err = source:move_resources("Study", study, { to = target })
  print(moved and "moved" or "FAILED", study.StudyDate or "", study.PatientName or "", study.StudyDescription or "", study.StudyInstanceUID)
  if not moved then
    failed = failed + 1
    complain(study.StudyInstanceUID, err)
  end
end
print(("%d of %d studies moved from %s to %s"):format(#found.answers - failed, #found.answers, names[1], names[2]))
if failed > 0 then
  os.exit(1)
end
