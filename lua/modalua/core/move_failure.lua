-- core.move_failure: what this server knows about the destination of a C-MOVE that failed. src/api/job_poll.c calls `explain`.
local require = ...
local native = require "core.native"

local move_failure = {}

-- The statuses that may be about the destination: unknown there, not reachable from there, or refusing (DICOM PS3.4 C.4.2.1.5).
local function is_about_destination(status)
  return status == 0xA801 or status == 0xA702 or status ~= nil and status >= 0xC000 and status <= 0xCFFF
end

local function address_of(settings)
  return ("%s:%s"):format(tostring(settings.Host), tostring(settings.Port))
end

-- The clause about the AE title; nil when the server does not tell its own, or its modalities. `aet`: nil for the default, this server.
local function destination_words(client, aet)
  local system, modalities = client:system(), client:modalities { expand = true }
  if not system or not modalities then
    return nil
  elseif not aet or aet == system.DicomAet then
    return ("the destination is this server itself: does the modality know its AE title, %s, with its host and the DICOM port %s?")
      :format(tostring(system.DicomAet), tostring(system.DicomPort))
  end
  local names = {}
  for name, settings in pairs(modalities) do
    if settings.AET == aet then
      names[#names + 1] = ("'%s' at %s"):format(name, address_of(settings))
    end
  end
  table.sort(names)
  if not names[1] then
    return ("the destination was the AE title %s, which no modality of this server has: is it spelled right, and does the modality know "
      .. "it?"):format(aet)
  end
  return ("the destination was the AE title %s, which this server knows as %s: does the modality know it too, with the same host and port?")
    :format(aet, table.concat(names, " and "))
end

-- Adds to the error what this server knows about the destination with the AE title `aet` (nil: the result of the job tells it, or it is
-- the default). Returns nil and the error.
function move_failure.explain(err, client, aet)
  local result = type(err.result) == "table" and err.result or {}
  local is_move = err.op == "move" or err.op == "move_resources" or type(result.TargetAet) == "string"
  if is_move and is_about_destination(err.dimse_status) then
    local words = destination_words(client, type(result.TargetAet) == "string" and result.TargetAet or aet)
    err.message = words and err.message .. "; " .. native.text_shown(words) or err.message
  end
  return nil, err
end

return move_failure
