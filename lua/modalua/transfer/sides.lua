-- transfer.sides: looks up the source and the destination of a transfer at the server, and refuses a transfer from a place to itself.
local require = ...
local move_target = require "core.move_target"
local native = require "core.native"
local steps = require "core.native_steps"

local sides = {}

local OP <const> = "run"

local function usage(message, ...)
  native.usage(("run: " .. message):format(...))
end

-- ---- what the server knows ----

local function names_of(objects)
  local names = {}
  for name in pairs(objects) do
    names[#names + 1] = name
  end
  return names
end

-- The settings of a modality | nil, err. use: "from" or "to", for the message.
local function look_up_modality(operation, name, use)
  local modalities, err = steps.request(operation, "GET", "/modalities?expand", "local", nil, "object of objects")
  if not modalities then
    return nil, err
  elseif not modalities[name] then
    local near = require "modalua.doc".nearest(name, names_of(modalities))
    return steps.failed(operation, "orthanc", "unknown_modality", ("the server knows no modality '%s' to send %s%s"):format(name, use,
      near and ("; did you mean '%s'?"):format(near) or ""))
  end
  return modalities[name]
end

local function look_up_peer(operation, name)
  local peers, err = steps.request(operation, "GET", "/peers", "local", nil, "list of texts")
  if not peers then
    return nil, err
  end
  for _, other in ipairs(peers) do
    if other == name then
      return true
    end
  end
  return steps.failed(operation, "orthanc", "unknown_peer", ("the server knows no peer '%s' to send to"):format(name))
end

-- ---- a place that is both sides ----

-- Where a URL leads: { host =, port =, is_loopback =, path = } | nil.
local function address_of(url)
  local host, port, is_loopback = native.address(url)
  return host and { host = host, port = port, is_loopback = is_loopback, path = url:match "^%a[%w+.-]*://[^/]*(.-)/*$" }
end

-- The same for the host of a modality, which is a name, or an IPv6 address without brackets.
local function address_of_host(host)
  return address_of("http://" .. (host:find ":" and not host:find "^%[" and "[" .. host .. "]" or host))
end

local function is_same_host(one, other)
  return one.host == other.host or one.is_loopback and other.is_loopback
end

-- Whether the modality with these settings is the Orthanc that tells this /system, and that is asked at the URL. Orthancs on different
-- hosts may have the same AE title and port.
local function is_modality(settings, system, url)
  local is_alike = settings.AET == system.DicomAet and math.tointeger(settings.Port) == system.DicomPort
  local host, own = is_alike and type(settings.Host) == "string" and address_of_host(settings.Host), address_of(url)
  return host and own and is_same_host(host, own) or false
end

-- The checks below return true | nil, err. An error of a server is one of the run: without its answer nothing shows that a run does not
-- compare a place with itself, and such a run would report everything as present.

-- Throws when the modality with these settings, which is one of the sides, is this Orthanc, which is the other one.
local function check_own(client, name, settings)
  local system, err = client:system()
  if not system then
    return nil, err
  elseif is_modality(settings, system, native.url(client)) or is_modality(settings, system, "http://localhost") then
    usage("'from' and 'to' are the same: the modality '%s' is this Orthanc itself", name)
  end
  return true
end

-- The same for a peer, to which this Orthanc sends.
local function check_peer(client, peer)
  local entry, err = peer:configuration()
  local system = entry
  if entry then
    system, err = client:system()
  end
  if not system then
    return nil, err
  elseif type(entry.Url) ~= "string" then
    return true
  end
  local to, own = address_of(entry.Url), address_of(native.url(client))
  -- behind a proxy several Orthancs share a host and a port, and have different paths
  local is_own_url = to and own and to.port == own.port and to.path == own.path and is_same_host(to, own)
  if is_own_url or to and to.is_loopback and to.port == system.HttpPort then
    usage("'from' and 'to' are the same: the peer '%s' is this Orthanc itself", peer.peer)
  end
  return true
end

-- The same for the modality to which this Orthanc sends.
local function check_target(operation, client, name)
  local settings, err = look_up_modality(operation, name, "to")
  if not settings then
    return nil, err
  end
  return check_own(client, name, settings)
end

-- Whether a place, which has answered with this /system, is the source of the plan; nil, err. settings: of a source that is a modality.
local function is_source(plan, system, settings)
  local place, from = plan.arrived_at, plan.from
  if from.kind ~= "client" then
    return is_modality(settings, system, native.url(place))
  elseif native.url(place) == native.url(from.client) then
    return true
  end
  local own, err = from.client:system()
  if not own then
    return nil, err
  end
  local identifier = system.DatabaseServerIdentifier -- an old server has none
  return identifier ~= nil and identifier == own.DatabaseServerIdentifier
end

-- Throws when what arrives would be compared at the source, which has everything.
local function check_arrived_at(plan, settings)
  if not plan.arrived_at then
    return true
  end
  local system, err = plan.arrived_at:system()
  if not system then
    return nil, err
  end
  local is_same, failure = is_source(plan, system, settings)
  if is_same == nil then
    return nil, failure
  elseif is_same then
    usage "'arrived_at' is the source itself, which has everything: it must be the client of the Orthanc that receives"
  end
  return true
end

-- ---- both sides ----

-- Sets to.aet and to.modality of a destination that is a modality. Returns true | nil, err.
local function look_up_target(operation, from, to)
  local target, err = move_target.find(operation, { to = to.name })
  if not target then
    return nil, err
  end
  to.aet, to.modality = target.aet, to.modality or from.client:modality(to.name)
  return true
end

-- Throws when one Orthanc is both sides.
local function check_sides(operation, plan, settings)
  local from, to = plan.from, plan.to
  if from.kind == "client" and to.kind == "peer" then
    return check_peer(from.client, to.peer)
  elseif from.kind == "client" and to.kind == "modality" then
    return check_target(operation, from.client, to.name)
  elseif settings and to.kind == "client" then
    return check_own(from.client, from.name, settings)
  end
  return true
end

-- sides.look_up(plan) -> true | nil, err. Asks the server for the AE titles of both sides: from.aet and to.aet.
function sides.look_up(plan)
  local from, to = plan.from, plan.to
  local operation = { client = from.client, op = OP, method = "GET", path = "/modalities" }
  local good, settings, err = true, nil, nil
  if from.kind == "modality" then
    settings, err = look_up_modality(operation, from.name, "from")
    from.aet = settings and (type(settings.AET) == "string" and settings.AET or "")
    good = settings
  end
  if good and to.kind == "modality" then
    good, err = look_up_target(operation, from, to)
  elseif good and to.kind == "peer" then
    good, err = look_up_peer(operation, to.name)
  end
  if not good then
    return nil, err
  elseif from.aet and to.aet == from.aet then
    usage("%s is the source itself: the modality '%s' has the AE title %s", to.kind == "aet" and "'TargetAet'"
      or ("the modality '%s'"):format(to.name), from.name, from.aet)
  end
  good, err = check_sides(operation, plan, settings)
  if not good then
    return nil, err
  end
  return check_arrived_at(plan, settings)
end

return sides
