-- core.move_target: the destination of a C-MOVE. C-MOVE names it by its AE title; people name it as the server does.
local require = ...
local doc = require "modalua.doc"
local native = require "core.native"
local steps = require "core.native_steps"

local move_target = {}

local ROUTE <const> = "/modalities?expand"

local function fail_unknown(operation, modalities, name)
  local names = {}
  for other in pairs(modalities) do
    names[#names + 1] = other
  end
  table.sort(names)
  local near = doc.nearest(name, names)
  return steps.failed(operation, "orthanc", "unknown_modality", ("the server knows no modality '%s' to send to%s"):format(name,
    near and ("; did you mean '%s'?"):format(near) or ""))
end

-- A valid AE title: DICOM PS3.5 6.2.
function move_target.is_aet(text)
  return #text <= 16 and text:find "[^ ]" and not text:find "[^ -~]" and not text:find("\\", 1, true)
end

-- An AE title that is the name of a modality with another AE title is probably a mistake. Returns what errors say then.
local function warn_about_name(operation, modalities, aet)
  local meant = modalities[aet] and modalities[aet].AET
  if type(meant) ~= "string" or meant == aet then
    return nil
  end
  local hint = ("TargetAet '%s' is the name of a modality, and its AE title is '%s': use to = \"%s\""):format(aet, meant, aet)
  native.warn_of_target(operation.op, hint)
  return hint
end

-- Finds the target that the options name. Returns { aet = its AE title, name = that of the modality, hint = what an error should say }, in
-- which all is nil when the target is this Orthanc; or nil and an error. A TargetAet is used as it is.
function move_target.find(operation, options)
  local aet, to = options.TargetAet, options.to
  if not aet and to == nil then
    return {}
  end
  local name = to ~= nil and native.target_name(operation.op, operation.client, to)
  local modalities, err = steps.request(operation, "GET", ROUTE, "local", nil, "object of objects")
  if aet then
    return { aet = aet, hint = modalities and warn_about_name(operation, modalities, aet) or nil }
  elseif not modalities then
    return nil, err
  elseif not modalities[name] then
    return fail_unknown(operation, modalities, name)
  end
  local difference = steps.differs(modalities, { [name] = { AET = "text" } })
  if difference then
    return steps.unexpected(operation, "GET", ROUTE, difference)
  end
  aet = modalities[name].AET
  if not move_target.is_aet(aet) then
    return steps.failed(operation, "refused", "bad_aet", ("the AE title of the modality '%s' is %s; it must be 1 to 16 ASCII characters "
      .. "without backslash"):format(name, native.said(aet)))
  end
  return { aet = aet, name = name }
end

return move_target
