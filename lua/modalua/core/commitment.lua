-- core.commitment: storage commitment, a modality's promise that it keeps what it was sent (DICOM PS3.4 J):
-- modality:storage_commitment, client:commitment, and the methods of what these give. POST /modalities/{name}/storage-commitment,
-- GET /storage-commitment/{uid}, POST /storage-commitment/{uid}/remove.
local require = ...
local json = require "modalua.json"
local native = require "core.native"
local progress_bar = require "core.progress_bar"
local requests = require "core.requests"
local steps = require "core.native_steps"

local commitment = {}

-- commitment -> the set of the SOPInstanceUIDs that it was asked for; false when this Orthanc did not tell them. Those of client:commitment
-- have none.
local asked_for = setmetatable({}, { __mode = "k" })

local function deadline_of(own)
  return own.wait_timeout and native.now() + own.wait_timeout
end

-- ---- the request ----

local OP = "storage_commitment"

-- The UID in a tag of the row, resource number n; nil and a message.
local function uid_of(row, name, n)
  local uid = native.value(row, name)
  if not uid then
    return nil, ("resource %d has no %s, which storage commitment needs (of answers, ask for it: %s = \"\")"):format(n, name, name)
  elseif not steps.is_uid(uid) then
    return nil, ("resource %d: %s = '%s' is no UID"):format(n, name, uid)
  end
  return uid
end

-- { SOPClassUID =, SOPInstanceUID = } of a row; nil and a message.
local function instance_of(row, n)
  local class, why = uid_of(row, "SOPClassUID", n)
  if not class then
    return nil, why
  end
  local uid, wrong = uid_of(row, "SOPInstanceUID", n)
  if not uid then
    return nil, wrong
  end
  return { SOPClassUID = class, SOPInstanceUID = uid }
end

-- Puts the resources into the body, by Orthanc's identifiers and by DICOM's, and the latter into the set `asked`. Nil and a message when
-- one cannot be sent.
local function read_resources(given, body, asked)
  local list, n = given, type(given) == "table" and #given
  if not n or n == 0 and next(given) ~= nil then -- an identifier, an instance or an answer
    list, n = { given }, 1
  end
  if n == 0 then
    return nil, "no resource is given"
  end
  local stored, instances = json.array {}, json.array {}
  for i = 1, n do
    local resource = list[i]
    if type(resource) == "table" then
      local instance, why = instance_of(resource, i)
      if not instance then
        return nil, why
      end
      asked[instance.SOPInstanceUID] = true
      instances[#instances + 1] = instance
    else
      local good, why = steps.check_stored(OP, resource, i)
      if not good then
        return nil, why
      end
      stored[#stored + 1] = resource
    end
  end
  body.Resources, body.DicomInstances = stored[1] and stored, instances[1] and instances
  return true
end

-- Adds the instances under Orthanc's identifiers to the set: a report is compared with what was asked for, so that must be known
-- beforehand. Returns whether the set is complete: without an instance it is not, as each resource of Orthanc has one. Returns nil and an
-- error on failure.
local function add_stored(operation, identifiers, asked)
  local list, err = steps.request(operation, "POST", "/tools/bulk-content", "local",
    { Resources = identifiers, Level = "Instance", Short = true })
  if list == nil then
    return nil, err
  end
  for _, instance in ipairs(type(list) == "table" and list or {}) do
    local tags = type(instance) == "table" and instance.MainDicomTags
    local uid = type(tags) == "table" and native.value(tags, "SOPInstanceUID")
    if not uid then
      return steps.failed(operation, "decode", nil, "unexpected response: an instance of this server has no SOPInstanceUID")
    end
    asked[uid] = true
  end
  return type(list) == "table" and #list > 0
end

function commitment.storage_commitment(modality, resources, options)
  local path = ("/modalities/%s/storage-commitment"):format(modality.modality)
  local own, body = steps.options(OP, "storage commitment", options)
  local operation = { client = modality.client, op = OP, method = "POST", path = path, deadline = deadline_of(own) }
  local asked = {}
  local good, why = read_resources(resources, body, asked)
  if not good then
    return steps.failed(operation, "refused", "bad_identifier", why)
  end
  local known = true
  if body.Resources then
    local err
    known, err = add_stored(operation, body.Resources, asked)
    if known == nil then
      return nil, err
    end
  end
  local answer, err = steps.request(operation, "POST", path, "remote", body)
  if answer == nil then
    return nil, err
  elseif type(answer) ~= "table" or not steps.is_uid(answer.ID) then
    return steps.failed(operation, "unknown", "decode",
      "unexpected response: the storage commitment has no transaction UID; whether the modality was asked is not known")
  end
  local new = steps.new_commitment(operation.client, answer.ID)
  asked_for[new] = known and asked
  return new
end

function commitment.commitment(client, uid)
  if not steps.is_uid(uid) then
    native.usage "commitment: a transaction UID is expected (digits and dots, at most 64)"
  end
  return steps.new_commitment(client, uid)
end

-- ---- what the modality has reported ----

local function list_in(status, name)
  return type(status[name]) == "table" and status[name] or {}
end

local function text_in(t, name, otherwise)
  return type(t) == "table" and type(t[name]) == "string" and t[name] or otherwise
end

-- The first of the failures stands for all.
local function not_committed(operation, status)
  local failures = list_in(status, "Failures")
  local message = "the modality does not commit itself to keeping this, and names no instance that it does not keep"
  if #failures > 0 then
    message = ("the modality does not commit itself to keeping %d of %d instances; the first of them, %s: %s"):format(#failures,
      #failures + #list_in(status, "Success"), text_in(failures[1], "SOPInstanceUID", "which it does not name"),
      text_in(failures[1], "Description", "it gives no reason"))
  end
  local _, err = steps.failed(operation, "dicom", "not_committed", message)
  err.result = status
  return nil, err
end

-- The list of what was asked for and is not among the confirmed instances, and how much was asked for (0: that is not known).
local function missing_in(confirmed, asked)
  local there, missing, n = {}, json.array {}, 0
  for _, instance in ipairs(confirmed) do
    local uid = text_in(instance, "SOPInstanceUID")
    if uid then
      there[uid] = true
    end
  end
  for uid in pairs(asked or {}) do
    n = n + 1
    if not there[uid] then
      missing[#missing + 1] = uid
    end
  end
  return missing, n
end

-- The status, when its report of success names everything that was asked for, or anything where that is not known.
local function confirmed_status(operation, status, asked)
  local confirmed = list_in(status, "Success")
  local missing, n = missing_in(confirmed, asked)
  if asked ~= false and #confirmed > 0 and #missing == 0 then
    return status
  end
  local message = "the modality reports success, but its report names no instance"
  if asked == false then
    message = "the modality reports success, but this Orthanc did not tell which instances it asked for, so nothing can be compared"
  elseif n > 0 then
    message = ("the modality reports success, but its report does not name %d of the %d instances that were asked for"):format(#missing, n)
  end
  local _, err = steps.failed(operation, "unknown", "unproven", message)
  err.missing, err.result = missing, status
  return nil, err
end

-- ---- wait ----

local LEAST, MOST = 0.05, 10 -- seconds between two polls: a report may take days
local REPORTS = 0.1 -- seconds between two calls of `progress`

-- A function (state, over) that calls `tell`, the option `progress` (or nil), and lets it be called while a request is under way.
local function reporter(operation, tell)
  if not tell then
    return function() end
  end
  local begun, due, state = native.now(), 0, "Running"
  local function report(new_state, over)
    local now = native.now()
    state = new_state or state
    if over or now >= due then
      due = now + REPORTS
      tell { op = operation.op, state = state, seconds = now - begun, over = over or false }
    end
  end
  function operation.progress()
    report()
  end
  return report
end

local function operation_on(which, op)
  return { client = which.client, op = op, method = "GET", path = "/storage-commitment/" .. which.id, id = which.id }
end

local function fail_late(operation)
  local _, err = steps.failed(operation, "timeout", nil, ("wait_timeout is over, and the modality has not reported yet, which may take it "
    .. "days; client:commitment(\"%s\"):wait() goes on waiting"):format(operation.id))
  err.still_running = true
  return nil, err
end

-- What is added to the error of a poll that ends the wait.
local function consequence(operation, err)
  if err.code == "commitment_gone" then
    return "what the modality has reported, or will, is not known"
  end
  return ("the modality may still report: client:commitment(\"%s\"):wait() goes on waiting"):format(operation.id)
end

-- Polls until the modality has reported. A server that does not answer for a while is waited for, as long as its client's timeout allows.
local function poll(operation, asked, report)
  local begun = native.now()
  local heard = begun
  while true do
    local status, err = steps.request(operation, "GET", operation.path, "local")
    local state = type(status) == "table" and status.Status
    if status == nil and not steps.is_transient(operation, err, heard) then
      local gone = err.code == "commitment_gone"
      err.message = err.message .. "; " .. consequence(operation, err)
      requests.unknown(err)
      err.code = gone and "commitment_gone" or err.code
      return nil, err
    elseif status ~= nil and state == "Pending" then
      heard = native.now()
      report "Pending"
    elseif state == "Failure" or state == "Success" and #list_in(status, "Failures") > 0 then
      return not_committed(operation, status)
    elseif state == "Success" then
      return confirmed_status(operation, status, asked)
    elseif status ~= nil then
      local said = tostring(state):gsub("%c", " "):sub(1, 60)
      return steps.failed(operation, "unknown", "decode",
        ("unexpected response: the storage commitment has no Status that is known (%s); %s"):format(said, consequence(operation, {})))
    end
    local delay = steps.poll_delay(operation, begun, LEAST, MOST)
    if delay == 0 then
      return fail_late(operation)
    end
    native.sleep(delay)
  end
end

function commitment.wait(which, options)
  local own = steps.options("wait", "wait", options)
  local operation = operation_on(which, "wait")
  operation.deadline = deadline_of(own)
  local report = reporter(operation, own.progress)
  local _ <close> = own.bar and progress_bar.scope() or nil
  local status, err = poll(operation, asked_for[which], report)
  report(status and "Success" or "Failure", true)
  if not status then
    return nil, err
  end
  return status
end

-- ---- status and remove ----

function commitment.status(which)
  local operation = operation_on(which, "status")
  return steps.request(operation, "GET", operation.path, "local", nil, { Status = "text" })
end

function commitment.remove(which)
  local operation = operation_on(which, "remove")
  local removed, err = steps.request(operation, "POST", operation.path .. "/remove", "change", {})
  if removed ~= nil then
    return true
  elseif err.code == "not_committed" then -- so Orthanc calls every state but Success
    err.message = "nothing was removed: the modality has not committed itself to keeping all of it, or not yet (status() tells)"
  end
  return nil, err
end

return commitment
