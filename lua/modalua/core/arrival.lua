-- core.arrival: verifies a transfer when the server's answer does not prove that it succeeded: compares the instances at the target with
-- those at the source. src/api/transfer.c calls `resolve`.
--
-- A resource is { level, keys, instances = the SOPInstanceUIDs that the target should have }. `data` describes a transfer: op, client,
-- modality, body, result, job, deadline. It has also `query`, an ID, perhaps with `answer`, the index of one answer; or else level and
-- resources. src/api/transfer.c fills it in.
local require = ...
local levels = require "core.levels"
local native = require "core.native"

local arrival = {}

local UNIQUE = levels.UNIQUE
local CHILD_LEVEL = { Patient = "Study", Study = "Series", Series = "Instance", Instance = "Instance" }
local LEVEL_OF_DICOM = { PATIENT = "Patient", STUDY = "Study", SERIES = "Series", IMAGE = "Instance" } -- of QueryRetrieveLevel

-- A reason is an error object or a string.
local function reason_text(reason)
  return type(reason) == "table" and reason.message or tostring(reason)
end

local function transfer_error(data, kind, code, message)
  local err = native.fail(data.called or data.op, kind, code, message)
  err.job, err.result, err.path, err.method = data.job, data.result, data.path, "POST"
  return err
end

-- ---- which instances a place has ----

-- Adds to the set `uids` the instances of a resource that a modality has. Sends one C-FIND for each level, since strict modalities
-- require it. Returns true, or nil and the reason.
local function add_remote_instances(data, modality, level, keys, uids)
  local seconds = data.deadline and data.deadline - native.now()
  if seconds and seconds <= 0 then
    return nil, "wait_timeout has passed"
  end
  local below = CHILD_LEVEL[level]
  local query = { [UNIQUE[below]] = "", StudyInstanceUID = keys.StudyInstanceUID, SeriesInstanceUID = keys.SeriesInstanceUID }
  query[UNIQUE[level]] = keys[UNIQUE[level]]
  local found <close>, err = modality:find { Level = below, Query = query, wait_timeout = seconds }
  if not found then
    return nil, err
  end
  for _, answer in ipairs(found.answers) do
    local uid = answer[UNIQUE[below]]
    if below == "Instance" then
      if uid and (level ~= "Instance" or uid == keys.SOPInstanceUID) then -- some modalities return other instances too
        uids[uid] = true
      end
    else
      local child = { StudyInstanceUID = keys.StudyInstanceUID, [UNIQUE[below]] = uid }
      local done, reason = add_remote_instances(data, modality, below, child, uids)
      if not done then
        return nil, reason
      end
    end
  end
  return true
end

-- Adds to the set `uids` the instances of a resource that this Orthanc has. Returns true, or nil and an error.
local function add_local_instances(client, level, keys, uids)
  local list, err = client:post("/tools/find",
    { Level = "Instance", Expand = true, CaseSensitive = true, Query = { [UNIQUE[level]] = keys[UNIQUE[level]] } })
  for _, instance in ipairs(list or {}) do
    uids[instance.MainDicomTags.SOPInstanceUID] = true
  end
  return list and true, err
end

-- Returns a function (level, keys, uids) that adds the instances at the place with this AE title. Returns nil and the reason when that
-- place cannot be asked.
local function instances_at(data, aet)
  local system = aet and data.client:system()
  if not aet or system and system.DicomAet == aet then
    return function(...) return add_local_instances(data.client, ...) end
  end
  local address, modality
  for name, settings in pairs(data.client:modalities { expand = true } or {}) do
    if settings.AET == aet then
      local own_address = ("%s:%d"):format(settings.Host, settings.Port)
      if address and address ~= own_address then
        return nil, ("two modalities, at %s and at %s, have the AE title %s"):format(address, own_address, aet)
      end
      address, modality = own_address, data.client:modality(name)
    end
  end
  if not modality then
    return nil, ("this server knows no modality with the AE title %s"):format(aet)
  end
  return function(...) return add_remote_instances(data, modality, ...) end
end

-- ---- which instances the target should have ----

-- The resources that a move or a get was asked for; nil and an error on failure.
local function requested_resources(data)
  local resources = {}
  if data.resources then
    for i, keys in ipairs(data.resources) do
      resources[i] = { data.level, keys }
    end
    return resources
  end
  local answers, err = data.client:get(("/queries/%s/answers"):format(data.query), { expand = true, simplify = true })
  for i, answer in ipairs(answers or {}) do
    if not data.answer or data.answer == i - 1 then
      local level = LEVEL_OF_DICOM[answer.QueryRetrieveLevel] or "Study"
      local keys, bad = native.identifiers(data.op, level, answer)
      if not keys then
        return nil, bad
      end
      resources[#resources + 1] = { level, keys[1] }
    end
  end
  return answers and resources, err
end

-- The resources of a move or a get, with the instances that their source has; nil and the reason on failure.
local function resources_at_source(data)
  local resources, err = requested_resources(data)
  for _, resource in ipairs(resources or {}) do
    local uids = {}
    local done, reason = add_remote_instances(data, data.modality, resource[1], resource[2], uids)
    if not done then
      return nil, reason
    elseif next(uids) == nil then
      return nil, ("the source lists no instance of %s"):format(resource[2][UNIQUE[resource[1]]])
    end
    resource.instances = {}
    for uid in pairs(uids) do
      table.insert(resource.instances, uid)
    end
  end
  return resources, err
end

-- The instances of a resource of any level, as Orthanc describes them; nil and the reason on failure.
local function instances_of_id(client, id)
  for _, route in ipairs { "/studies/%s/instances", "/series/%s/instances", "/instances/%s", "/patients/%s/instances" } do
    local found, err = client:get(route:format(id))
    if found then
      return found.ID and { found } or found
    elseif err.status ~= 404 and err.status ~= 400 then -- Orthanc 1.10.1 answers 400 to an identifier of another level
      return nil, err
    end
  end
  return nil, "this Orthanc has no resource " .. id
end

-- The series that a store was asked to send, with their instances; nil and the reason on failure.
local function series_to_store(data)
  local resources, by_series = {}, {}
  for _, id in ipairs(data.resources) do
    local instances, err = instances_of_id(data.client, id)
    if not instances then
      return nil, err
    end
    for _, instance in ipairs(instances) do
      local resource = by_series[instance.ParentSeries]
      if not resource then
        local series = data.client:get("/series/" .. instance.ParentSeries)
        local study = series and data.client:get("/studies/" .. series.ParentStudy)
        if not study then
          return nil, ("this Orthanc does not have the series %s any more"):format(instance.ParentSeries)
        end
        resource = { "Series", instances = {},
          { StudyInstanceUID = study.MainDicomTags.StudyInstanceUID, SeriesInstanceUID = series.MainDicomTags.SeriesInstanceUID } }
        by_series[instance.ParentSeries] = resource
        resources[#resources + 1] = resource
      end
      table.insert(resource.instances, instance.MainDicomTags.SOPInstanceUID)
    end
  end
  return resources
end

-- ---- the comparison ----

-- Returns the resources that the target should have, and the function that adds the instances there; nil and the reason on failure.
local function expected_at_target(data)
  local body = data.body
  if data.op ~= "store" then
    local add_instances, reason = instances_at(data, body.TargetAet)
    if not add_instances then
      return nil, reason
    end
    local expected, err = resources_at_source(data)
    return expected, expected and add_instances or err
  elseif data.peer then
    return nil, "this server cannot ask a peer which instances it has"
  elseif body.CalledAet or body.Host or body.Port then
    return nil, "CalledAet, Host or Port led to another place than the modality, and that place cannot be asked"
  end
  local expected, err = series_to_store(data)
  return expected, expected and function(...) return add_remote_instances(data, data.modality, ...) end or err
end

-- Returns the list of the SOPInstanceUIDs that the target does not have; its field n is the number of all that it should have. Returns
-- nil and the reason when the target cannot be asked.
local function missing_at_target(expected, add_instances)
  local missing = { n = 0 }
  for _, resource in ipairs(expected) do
    local uids = {}
    local done, err = add_instances(resource[1], resource[2], uids)
    if not done then
      return nil, err
    end
    for _, uid in ipairs(resource.instances) do
      missing.n = missing.n + 1
      if not uids[uid] then
        missing[#missing + 1] = uid
      end
    end
  end
  return missing
end

-- Some modalities report success before their last instances have arrived, so a comparison that finds a gap is repeated.
local ATTEMPTS, SECONDS_BETWEEN = 3, 0.5

local function compare_with_target(data)
  local expected, add_instances = expected_at_target(data)
  if not expected then
    return nil, add_instances
  end
  local missing, err
  for attempt = 1, ATTEMPTS do
    missing, err = missing_at_target(expected, add_instances)
    if not missing or #missing == 0 or attempt == ATTEMPTS or data.op == "get" then
      break
    end
    native.sleep(SECONDS_BETWEEN)
  end
  return missing, err
end

-- Returns the result of the transfer when every instance has arrived, else nil and an error. `reason` says why the comparison is needed.
function arrival.verify(data, reason)
  local missing, err = compare_with_target(data)
  if not missing then
    return nil, transfer_error(data, "unknown", "unproven",
      ("it is unknown whether everything arrived: %s, and modalua cannot check it: %s"):format(reason, reason_text(err)))
  elseif #missing > 0 then
    err = transfer_error(data, "dicom", "incomplete", ("%d of %d instances have not arrived (%s)"):format(#missing, missing.n, reason))
    err.missing = missing
    return nil, err
  end
  return data.result or { Description = "verified by modalua: " .. reason, InstancesCount = missing.n }
end

-- ---- checks of a success that newer servers describe ----

-- Orthanc 1.13.0 skips unknown identifiers without an error when it knows the first one.
local function check_none_skipped(data)
  local known, err = data.client:post("/tools/bulk-content", { Resources = data.resources, Short = true })
  if not known then
    return nil, transfer_error(data, "unknown", "unproven",
      "it is unknown whether the server had every resource and sent it: " .. reason_text(err))
  end
  local is_known = {}
  for _, resource in ipairs(known) do
    is_known[resource.ID] = true
  end
  for _, id in ipairs(data.resources) do
    if not is_known[id] then
      return nil, transfer_error(data, "orthanc", "not_found", ("this Orthanc has no resource %s; the others were sent"):format(id))
    end
  end
  return data.result
end

-- From 1.12.10 on, a server lists the instances that it received itself. True when it lists none for one of the resources.
local function lists_no_arrival(data)
  local result = data.result
  if data.op ~= "store" and (result.TargetAet == nil or result.TargetAet == result.LocalAet) then
    for _, detail in ipairs(result.Details or {}) do
      if type(detail.ReceivedInstancesIds) == "table" and #detail.ReceivedInstancesIds == 0 then
        return true
      end
    end
  end
  return false
end

-- Returns what the transfer returns to the script. `reason`: why the server's success must be verified; nil when it is believed.
function arrival.resolve(data, reason)
  if reason then
    return arrival.verify(data, reason)
  elseif data.op == "store" and #data.resources > 1 and data.result.Resources then
    return check_none_skipped(data)
  elseif lists_no_arrival(data) then
    return arrival.verify(data, "the server lists no received instance of one of the resources")
  end
  return data.result
end

return arrival
