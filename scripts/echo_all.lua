-- Sends a C-ECHO to every modality that the Orthanc server knows, all at the same time, and prints a line for each.
--
--   modalua scripts/echo_all.lua [SECONDS]         SECONDS: how long Orthanc waits for a modality (default: 5)
--
-- The exit status is 1 when a modality does not answer, so that cron or a monitoring system notices it.
-- The server is the one in MODALUA_URL (with MODALUA_USERNAME and MODALUA_PASSWORD), or http://localhost:8042.
local modalua = require "modalua"
local task = require "modalua.task"

local seconds = math.tointeger(tonumber(arg[1] or 5))
if not seconds or seconds < 1 then
  io.stderr:write("usage: modalua scripts/echo_all.lua [SECONDS]\n")
  os.exit(2)
end

local orthanc = modalua.connect()
local settings = assert(orthanc:modalities { expand = true })

local names, answers = {}, {}
for name in pairs(settings) do
  names[#names + 1] = name
  task.spawn(function()
    local start = task.now()
    local ok, err = orthanc:modality(name):echo { Timeout = seconds }
    answers[name] = { ok = ok, text = ok and "answers" or err.message, milliseconds = (task.now() - start) * 1000 }
  end)
end
table.sort(names)

local silent = 0
for _, name in ipairs(names) do
  while not answers[name] do
    task.sleep(0.01)
  end
  local answer = answers[name]
  print(("%-16s %-16s %7.1f ms  %s"):format(name, settings[name].AET, answer.milliseconds, answer.text))
  silent = silent + (answer.ok and 0 or 1)
end
if silent > 0 then
  io.stderr:write(("%d of %d modalities do not answer\n"):format(silent, #names))
  os.exit(1)
end
