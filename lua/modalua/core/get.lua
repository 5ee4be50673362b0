-- core.get: modality:get, C-GET of resources, which brings them to this Orthanc.
local require = ...
local moves = require "core.moves"
local native = require "core.native"
local requests = require "core.requests"

local get = {}

local OP <const> = "get"

-- Orthanc sends all patients that it takes for one.
local function check_patients(modality, level, resources, options)
  local list = native.identifiers(OP, level, resources)
  if not list then
    return true -- native.get says what is wrong with them
  end
  local timed = type(options) == "table" and math.type(options.wait_timeout) -- native.get checks the options
  local good, err = moves.check_patients { op = OP, client = modality.client, modality = modality, level = level, resources = list,
    deadline = timed and requests.deadline(options) or nil }
  if not good then
    err.path, err.method = ("/modalities/%s/get"):format(modality.modality), "POST"
  end
  return good, err
end

function get.get(modality, level, resources, options)
  local name = type(level) == "string" and native.level(level)
  if name == "Patient" then
    local good, err = check_patients(modality, name, resources, options)
    if not good then
      return nil, err
    end
  end
  return native.get(modality, level, resources, options)
end

return get
