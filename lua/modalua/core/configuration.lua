-- core.configuration: the server's entries of modalities and peers: configuration, configure and remove, methods of both.
local require = ...
local json = require "modalua.json"
local native = require "core.native"
local requests = require "core.requests"
local steps = require "core.native_steps"

local configuration = {}

local function note(list, option)
  return ("the server does not tell whether it keeps this: unless its configuration has \"%s\" : true, its next start brings back the %s "
    .. "of its configuration file, without this change (and with it, it ignores those in the file)"):format(option, list)
end

-- What differs between the kinds of entries. No version says whether it keeps them. `needs`: the settings that a new entry must have;
-- `entry`: what the server says of one.
local KINDS = {
  modality = { word = "modality", root = "/modalities", settings = "modality settings", needs = { "AET", "Host", "Port" },
    unknown = "unknown_modality", entry = { AET = "text", Host = "text", Port = "whole number" },
    note = note("DicomModalities", "DicomModalitiesInDatabase") },
  peer = { word = "peer", root = "/peers", settings = "peer settings", needs = { "Url" },
    unknown = "unknown_peer", entry = { Url = "text" }, note = note("OrthancPeers", "OrthancPeersInDatabase") },
}

local NOT_THE_SERVER = "a sandboxed script does not change the server's lists"

-- The operation on the entry of a modality or peer; its own errors are about a request of that method.
local function operation_on(remote, op, method)
  local kind = KINDS[native.kind(remote)]
  local name = remote[kind.word]
  return { client = remote.client, op = op, method = method, path = kind.root .. "/" .. name, kind = kind, name = name }
end

local function read(operation)
  return steps.request(operation, "GET", operation.path .. "/configuration", "local", nil, operation.kind.entry)
end

-- ---- what the server never tells ----

-- The server says null of a password that it has, and gives the names alone of its headers, in a list.
local function is_hidden(entry, key)
  local value = entry[key]
  return value == json.null or key == "HttpHeaders" and type(value) == "table" and #value > 0
end

-- The names of the hidden settings that are not given anew, as "A, B"; nil when there are none. Writing the entry would lose them.
local function lost_settings(operation, entry, settings)
  local names = {}
  for _, key in ipairs(steps.keys(operation.kind.settings)) do
    if settings[key] == nil and is_hidden(entry, key) then
      names[#names + 1] = key
    end
  end
  return names[1] and table.concat(names, ", ")
end

-- ---- the comparison ----

-- Whether the list has the names of these headers, and no others.
local function are_names(headers, list)
  local there, wanted = {}, 0
  for _, name in ipairs(type(list) == "table" and list or {}) do
    there[name] = true
  end
  for name in pairs(headers) do
    wanted = wanted + 1
    if not there[name] then
      return false
    end
  end
  return type(list) == "table" and #list == wanted
end

-- Whether both are the same as JSON. Where the server keeps a string it has made one of a number or a boolean.
local function is_same(asked, got)
  if type(got) == "string" and type(asked) == "boolean" then
    asked = asked and "1" or "0"
  elseif type(got) == "string" and type(asked) == "number" then
    asked = tostring(asked)
  end
  local text = json.encode(asked)
  return text ~= nil and text == json.encode(got)
end

-- Whether the server has this value of a setting now, as far as it tells.
local function is_taken(entry, key, asked)
  local got = entry[key]
  if got == json.null then -- a password: there is one
    return true
  elseif got == nil then
    return asked == json.null or asked == ""
  elseif key == "HttpHeaders" then
    return are_names(asked, got)
  elseif key == "Url" and type(got) == "string" then -- the server ends an address with a slash
    return asked:match "^(.-)/*$" == got:match "^(.-)/*$"
  end
  return is_same(asked, got)
end

-- The names of the settings that the server did not take, as "A, B"; nil when it took all.
local function not_taken(entry, settings)
  local names = {}
  for key, asked in pairs(settings) do
    if not is_taken(entry, key, asked) then
      names[#names + 1] = key
    end
  end
  table.sort(names)
  return names[1] and table.concat(names, ", ")
end

-- ---- configure ----

-- Orthanc keeps AllowStorageCommitment as these two.
local function split_commitment(settings)
  local allowed = settings.AllowStorageCommitment
  if allowed ~= nil then
    if settings.AllowNAction ~= nil or settings.AllowEventReport ~= nil then
      native.usage "configure: AllowStorageCommitment stands for AllowNAction and AllowEventReport: give it, or those"
    end
    settings.AllowNAction, settings.AllowEventReport, settings.AllowStorageCommitment = allowed, allowed, nil
  end
end

-- The entry before the change: the server's, or with create = true an empty one when there is none.
local function entry_to_change(operation, create)
  local entry, err = read(operation)
  if entry then
    return entry
  elseif err.code ~= operation.kind.unknown then
    return nil, err
  elseif create then
    return {}
  end
  err.message = err.message .. "; create = true makes a new one"
  return nil, err
end

local function first_missing(operation, entry)
  for _, key in ipairs(operation.kind.needs) do
    if entry[key] == nil then
      return key
    end
  end
  local password = entry.Password
  if type(password) == "string" and password ~= "" and entry.Username == nil then
    return "Username"
  end
end

-- Sends the entry. Orthanc says nothing when it has taken it; whether it has, `verify` asks. What another server says here is refused.
local function put(operation, entry)
  local said, err = steps.request(operation, "PUT", operation.path, "change", entry)
  if said == nil or said == "" then
    return said and true, err
  end
  local wrong = steps.differs(said, "object") or said.HttpStatus ~= nil and "it is the description of an error"
  if wrong then
    return steps.unexpected(operation, "PUT", operation.path, wrong)
  end
  return true
end

-- Puts the settings over the entry and sends it: PUT replaces the whole entry.
local function write(operation, entry, settings)
  local lost = lost_settings(operation, entry, settings)
  if lost then
    return steps.failed(operation, "refused", "hidden_settings", ("the server never tells %s, so writing the entry anew would lose that: "
      .. "give it too (\"\", or {} for HttpHeaders, when there is to be none)"):format(lost))
  end
  if type(entry.HttpHeaders) == "table" then -- the names of headers, which PUT does not take
    entry.HttpHeaders = nil
  end
  for key, value in pairs(settings) do
    entry[key] = value
  end
  local missing = first_missing(operation, entry)
  if missing then
    return steps.failed(operation, "refused", "missing_setting", ("the %s '%s' cannot do without %s"):format(operation.kind.word,
      operation.name, missing))
  end
  return put(operation, entry)
end

-- Reads the entry again and compares it with the settings.
local function verify(operation, settings)
  local entry, err = read(operation)
  if not entry then
    err.message = "the server accepted the change, but what it has now cannot be told: " .. err.message
    return requests.unknown(err)
  end
  local names = not_taken(entry, settings)
  steps.redacted(entry)
  if names then
    local _, refused = steps.failed(operation, "orthanc", "not_taken", "the server was told, but it did not take: " .. names)
    refused.result = entry
    return nil, refused
  end
  return entry, operation.kind.note
end

function configuration.configure(remote, given)
  steps.forbid_in_sandbox("configure", NOT_THE_SERVER)
  local operation = operation_on(remote, "configure", "PUT")
  operation.secrets = true -- what is read is written back
  if type(given) ~= "table" then
    native.usage(("configure: the settings must be a table (a %s was given)"):format(type(given)))
  end
  local own, settings, newest = steps.options("configure", operation.kind.settings, given)
  split_commitment(settings)
  if settings.HttpHeaders and next(settings.HttpHeaders) == nil then
    settings.HttpHeaders = json.object {} -- also when the server's empty list of names is given back
  end
  if newest then
    local known, lacking = steps.check_version(operation, newest)
    if not known then
      return nil, lacking
    end
  end
  local entry, err = entry_to_change(operation, own.create)
  if not entry then
    return nil, err
  end
  local written, refused = write(operation, entry, settings)
  if written == nil then
    return nil, refused
  end
  return verify(operation, settings)
end

-- ---- the others ----

function configuration.configuration(remote)
  return read(operation_on(remote, "configuration", "GET"))
end

function configuration.remove(remote)
  steps.forbid_in_sandbox("remove", NOT_THE_SERVER)
  local operation = operation_on(remote, "remove", "DELETE")
  local removed, err = steps.request(operation, "DELETE", operation.path, "change", nil, "done")
  if removed == nil then
    return nil, err
  end
  return true
end

return configuration
