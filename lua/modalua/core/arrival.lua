-- core.arrival: proves that a transfer arrived when the server leaves its outcome open. src/api/transfer.c calls `resolve`.
--
-- A resource is { level, keys, instances = the SOPInstanceUIDs that it should have }. `data` describes a transfer (src/api/transfer.c): op,
-- client, modality, body, result, job, deadline; of a query its ID and perhaps the answer's place; else level and resources.
local require = ...
local levels = require "core.levels"
local native = require "core.native"

local arrival = {}

local UNIQUE = levels.UNIQUE
local BELOW = { Patient = "Study", Study = "Series", Series = "Instance", Instance = "Instance" }
local LEVELS = { PATIENT = "Patient", STUDY = "Study", SERIES = "Series", IMAGE = "Instance" }

local function words(why)
  return type(why) == "table" and why.message or tostring(why)
end

local function failure(data, kind, code, message)
  local err = native.fail(data.called or data.op, kind, code, message)
  err.job, err.result, err.path, err.method = data.job, data.result, data.path, "POST"
  return err
end

-- ---- what is where ----

-- Adds the instances that a modality has of a resource to the set, level by level, as a strict one wants it. True, or nil and why not.
local function instances_there(data, modality, level, keys, set)
  local left = data.deadline and data.deadline - native.now()
  if left and left <= 0 then
    return nil, "wait_timeout is over"
  end
  local below = BELOW[level]
  local query = { [UNIQUE[below]] = "", StudyInstanceUID = keys.StudyInstanceUID, SeriesInstanceUID = keys.SeriesInstanceUID }
  query[UNIQUE[level]] = keys[UNIQUE[level]]
  local found <close>, err = modality:find { Level = below, Query = query, wait_timeout = left }
  if not found then
    return nil, err
  end
  for _, answer in ipairs(found.answers) do
    local uid = answer[UNIQUE[below]]
    if below == "Instance" then
      if uid and (level ~= "Instance" or uid == keys.SOPInstanceUID) then -- some give more than they were asked for
        set[uid] = true
      end
    else
      local known, why = instances_there(data, modality, below, { StudyInstanceUID = keys.StudyInstanceUID, [UNIQUE[below]] = uid }, set)
      if not known then
        return nil, why
      end
    end
  end
  return true
end

-- The same of what this Orthanc has.
local function instances_here(client, level, keys, set)
  local list, err = client:post("/tools/find",
    { Level = "Instance", Expand = true, CaseSensitive = true, Query = { [UNIQUE[level]] = keys[UNIQUE[level]] } })
  for _, instance in ipairs(list or {}) do
    set[instance.MainDicomTags.SOPInstanceUID] = true
  end
  return list and true, err
end

-- A function (level, keys, set) that looks where an AE title leads to; or nil and why nobody can look there.
local function look_at(data, aet)
  local system = aet and data.client:system()
  if not aet or system and system.DicomAet == aet then
    return function(...) return instances_here(data.client, ...) end
  end
  local place, modality
  for name, settings in pairs(data.client:modalities { expand = true } or {}) do
    if settings.AET == aet then
      local own = ("%s:%d"):format(settings.Host, settings.Port)
      if place and place ~= own then
        return nil, ("%s is called %s, and so is %s"):format(place, aet, own)
      end
      place, modality = own, data.client:modality(name)
    end
  end
  if not modality then
    return nil, ("%s is no modality of this server that could be asked"):format(aet)
  end
  return function(...) return instances_there(data, modality, ...) end
end

-- ---- what should be there ----

-- What a move was about.
local function resources_of(data)
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
      local level = LEVELS[answer.QueryRetrieveLevel] or "Study"
      local keys, bad = native.identifiers(data.op, level, answer)
      if not keys then
        return nil, bad
      end
      resources[#resources + 1] = { level, keys[1] }
    end
  end
  return answers and resources, err
end

-- What a retrieval should have brought, as its source has it.
local function retrieved(data)
  local resources, err = resources_of(data)
  for _, resource in ipairs(resources or {}) do
    local set = {}
    local known, why = instances_there(data, data.modality, resource[1], resource[2], set)
    if not known then
      return nil, why
    elseif next(set) == nil then
      return nil, ("the source shows no instance of %s"):format(resource[2][UNIQUE[resource[1]]])
    end
    resource.instances = {}
    for uid in pairs(set) do
      table.insert(resource.instances, uid)
    end
  end
  return resources, err
end

-- The instances under an identifier of any level, as Orthanc describes them.
local function stored_instances(client, id)
  for _, route in ipairs { "/studies/%s/instances", "/series/%s/instances", "/instances/%s", "/patients/%s/instances" } do
    local found, err = client:get(route:format(id))
    if found then
      return found.ID and { found } or found
    elseif err.status ~= 404 and err.status ~= 400 then -- 1.10.1 says 400 of an identifier of another level
      return nil, err
    end
  end
  return nil, "this Orthanc has nothing under " .. id
end

-- What a store should have brought, by series.
local function stored(data)
  local resources, by_series = {}, {}
  for _, id in ipairs(data.resources) do
    local instances, err = stored_instances(data.client, id)
    if not instances then
      return nil, err
    end
    for _, instance in ipairs(instances) do
      local resource = by_series[instance.ParentSeries]
      if not resource then
        local series = data.client:get("/series/" .. instance.ParentSeries)
        local study = series and data.client:get("/studies/" .. series.ParentStudy)
        if not study then
          return nil, "a series of it is gone"
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

-- What should be where, and a function that looks there.
local function expectation(data)
  local body = data.body
  if data.op ~= "store" then
    local look, why = look_at(data, body.TargetAet)
    if not look then
      return nil, why
    end
    local wanted, err = retrieved(data)
    return wanted, wanted and look or err
  elseif data.peer then
    return nil, "what a peer has cannot be asked through this server"
  elseif body.CalledAet or body.Host or body.Port then
    return nil, "it went to another place than the modality, which nobody can ask"
  end
  local wanted, err = stored(data)
  return wanted, wanted and function(...) return instances_there(data, data.modality, ...) end or err
end

-- What should be there and is not: a list with the number of what should be, n. Nil and why when it cannot be told.
local function missing(wanted, look)
  local absent = { n = 0 }
  for _, resource in ipairs(wanted) do
    local there = {}
    local known, err = look(resource[1], resource[2], there)
    if not known then
      return nil, err
    end
    for _, uid in ipairs(resource.instances) do
      absent.n = absent.n + 1
      if not there[uid] then
        absent[#absent + 1] = uid
      end
    end
  end
  return absent
end

-- Some modalities say that they have sent before they have.
local TRIES, PAUSE = 3, 0.5

local function compare(data)
  local wanted, look = expectation(data)
  if not wanted then
    return nil, look
  end
  local absent, err
  for try = 1, TRIES do
    absent, err = missing(wanted, look)
    if not absent or #absent == 0 or try == TRIES or data.op == "get" then
      break
    end
    native.sleep(PAUSE)
  end
  return absent, err
end

-- Success when everything can be shown to have arrived; `reason` says why it has to be shown.
function arrival.prove(data, reason)
  local absent, why = compare(data)
  if not absent then
    return nil, failure(data, "unknown", "unproven",
      ("whether it was carried out is not known: %s, and what has arrived cannot be compared: %s"):format(reason, words(why)))
  elseif #absent > 0 then
    local err = failure(data, "dicom", "incomplete", ("%d of %d instances have not arrived (%s)"):format(#absent, absent.n, reason))
    err.missing = absent
    return nil, err
  end
  return data.result or { Description = "compared by modalua: " .. reason, InstancesCount = absent.n }
end

-- ---- what newer servers say of a success ----

-- 1.13.0 leaves identifiers out that it does not know, when one that it knows comes first.
local function prove_none_skipped(data)
  local known, err = data.client:post("/tools/bulk-content", { Resources = data.resources, Short = true })
  if not known then
    return nil, failure(data, "unknown", "unproven", "whether everything was there to be sent is not known: " .. words(err))
  end
  local there = {}
  for _, resource in ipairs(known) do
    there[resource.ID] = true
  end
  for _, id in ipairs(data.resources) do
    if not there[id] then
      return nil, failure(data, "orthanc", "not_found", "this Orthanc has nothing under " .. id .. "; the others were sent")
    end
  end
  return data.result
end

-- From 1.12.10 on a server names the instances that it has received itself. True: of some resource there were none.
local function names_no_arrival(data)
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

function arrival.resolve(data, reason)
  if reason then
    return arrival.prove(data, reason)
  elseif data.op == "store" and #data.resources > 1 and data.result.Resources then
    return prove_none_skipped(data)
  elseif names_no_arrival(data) then
    return arrival.prove(data, "the server names no instance that has arrived")
  end
  return data.result
end

return arrival
