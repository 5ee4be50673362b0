-- What of a modality is better said in Lua: transfers of many resources, and the proof of what the server leaves open. Loaded with modalua;
-- ours: methods (of Modality), client_methods, move_one, move_options, identifiers, fail, sleep, describe, resolver, from src/lremote.c.
local ours = ...
local methods = ours.methods

-- ---- what is where ----

local BELOW = { Patient = "Study", Study = "Series", Series = "Instance" }
local UNIQUE = { Patient = "PatientID", Study = "StudyInstanceUID", Series = "SeriesInstanceUID", Instance = "SOPInstanceUID" }

local function add(set, uid)
  if uid and uid ~= "" and not set[uid] then
    set[uid] = true
    set[#set + 1] = uid
  end
end

-- A copy of the keys with one more: the unique key of the level below, which is asked for.
local function question(keys, level)
  local query = {}
  for name, value in pairs(keys) do
    query[name] = value
  end
  query.SOPClassesInStudy = nil
  query[UNIQUE[level]] = query[UNIQUE[level]] or ""
  return query
end

-- Adds the instances that a modality has of a resource, level by level, as a strict one wants it. True, or nil and an error.
local function instances_there(modality, level, keys, set)
  local below = BELOW[level] or level
  local query = question(keys, below)
  if level == "Patient" or level == "Study" then
    query = question({ [UNIQUE[level]] = keys[UNIQUE[level]] }, below)
  end
  local found <close>, err = modality:find { Level = below, Query = query }
  if not found then
    return nil, err
  end
  for _, answer in ipairs(found.answers) do
    if below == "Instance" then
      if keys.SOPInstanceUID == nil or keys.SOPInstanceUID == answer.SOPInstanceUID then -- some answer with more than they were asked for
        add(set, answer.SOPInstanceUID)
      end
    else
      local deeper = below == "Study" and {} or { StudyInstanceUID = keys.StudyInstanceUID }
      deeper[UNIQUE[below]] = answer[UNIQUE[below]]
      local known, why = instances_there(modality, below, deeper, set)
      if not known then
        return nil, why
      end
    end
  end
  return true
end

-- Adds the instances that this Orthanc has of a resource.
local function instances_here(client, level, keys, set)
  local list, err = client:post("/tools/find",
    { Level = "Instance", Expand = true, CaseSensitive = true, Query = { [UNIQUE[level]] = keys[UNIQUE[level]] } })
  if not list then
    return nil, err
  end
  for _, instance in ipairs(list) do
    add(set, instance.MainDicomTags.SOPInstanceUID)
  end
  return true
end

-- Adds the instances, as { keys of one }, of what Orthanc has stored under an identifier of any level.
local function stored_instances(client, id, list)
  for _, kind in ipairs { "studies", "series", "instances", "patients" } do
    local instances, err = client:get(("/%s/%s%s"):format(kind, id, kind == "instances" and "" or "/instances"))
    if instances then
      for _, instance in ipairs(kind == "instances" and { instances } or instances) do
        local tags = client:get(("/instances/%s/simplified-tags"):format(instance.ID))
        if not tags then
          return nil, "an instance of it is gone"
        end
        list[#list + 1] = {
          StudyInstanceUID = tags.StudyInstanceUID, SeriesInstanceUID = tags.SeriesInstanceUID, SOPInstanceUID = tags.SOPInstanceUID,
        }
      end
      return true
    elseif err.status ~= 404 and err.status ~= 400 then -- 1.10.1 says 400 of an identifier of another level
      return nil, err
    end
  end
  return nil, "this Orthanc has nothing under " .. id
end

-- ---- proof ----

-- What a move was about: a list of { level, keys }.
local function moved_resources(data)
  local resources = {}
  if data.resources then
    for i, keys in ipairs(data.resources) do
      resources[i] = { data.level, keys }
    end
    return resources
  end
  local answers, err = data.client:get(("/queries/%s/answers"):format(data.query), { expand = true, simplify = true })
  if not answers then
    return nil, err
  end
  for i, answer in ipairs(answers) do
    if not data.answer or data.answer == i - 1 then
      local level = answer.QueryRetrieveLevel:sub(1, 1) .. answer.QueryRetrieveLevel:sub(2):lower()
      level = level == "Image" and "Instance" or level
      local keys, bad = ours.identifiers("move", level, answer)
      if not keys then
        return nil, bad
      end
      resources[#resources + 1] = { level, keys[1] }
    end
  end
  return resources
end

-- A function (level, keys, set) that looks where an AE title leads to; or nil and why nobody can look there.
local function look_at(client, aet)
  local system = aet and client:system()
  if not aet or system and system.DicomAet == aet then
    return function(...) return instances_here(client, ...) end
  end
  for name, settings in pairs(client:modalities { expand = true } or {}) do
    if settings.AET == aet then
      local modality = client:modality(name)
      return function(...) return instances_there(modality, ...) end
    end
  end
  return nil, ("%s is no modality of this server that could be asked"):format(aet)
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

-- What a retrieval should have brought: the resources, each with the list of its instances at the source.
local function retrieved(data)
  local resources, err = moved_resources(data)
  for _, resource in ipairs(resources or {}) do
    resource.instances = {}
    local known, why = instances_there(data.modality, resource[1], resource[2], resource.instances)
    if not known then
      return nil, why
    elseif #resource.instances == 0 then
      return nil, ("the source shows no instance of %s"):format(resource[2][UNIQUE[resource[1]]])
    end
  end
  return resources, err
end

local function stored(data)
  local instances = {}
  for _, id in ipairs(data.resources) do
    local known, err = stored_instances(data.client, id, instances)
    if not known then
      return nil, err
    end
  end
  local resources = {}
  for i, keys in ipairs(instances) do
    resources[i] = { "Instance", keys, instances = { keys.SOPInstanceUID } }
  end
  return resources
end

-- What should be where, and a function that looks there.
local function expectation(data)
  local body = data.body
  if data.op == "store" then
    if body.CalledAet or body.Host or body.Port then
      return nil, "it went to another place than the modality, which nobody can ask"
    end
    local wanted, err = stored(data)
    return wanted, wanted and function(...) return instances_there(data.modality, ...) end or err
  end
  local look, why = look_at(data.client, body.TargetAet)
  if not look then
    return nil, why
  end
  local wanted, err = retrieved(data)
  return wanted, wanted and look or err
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
    ours.sleep(PAUSE)
  end
  return absent, err
end

local function words(why)
  return type(why) == "table" and why.message or tostring(why)
end

local function failure(data, kind, code, message)
  local err = ours.fail(data.called or data.op, kind, code, message)
  err.job, err.result, err.path, err.method = data.job, data.result, data.path, "POST"
  return err
end

-- Newer servers leave identifiers out that they do not know, and report success: (1.13.0, when one that they know comes first).
local function check_skipped(data)
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

-- The outcome of a transfer that the server leaves open, for `reason`: it is a success when everything can be shown to have arrived.
function ours.resolver(data, reason)
  if not reason then
    return check_skipped(data)
  end
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

-- ---- moves that are under way already ----

-- A job outlives the script that started it, and the server's restart: a script that is run again must not send everything twice. What this
-- process has started itself, it waits for; so one look at the server's jobs is enough for each client.
local UNFINISHED = { Pending = true, Running = true, Paused = true, Retry = true }
local TAGS = { PATIENT = "0010,0020", STUDY = "0020,000d", SERIES = "0020,000e", IMAGE = "0008,0018" }
local WORDS = { Patient = "PATIENT", Study = "STUDY", Series = "SERIES", Instance = "IMAGE" }

local under_way = setmetatable({}, { __mode = "k" }) -- client -> { name of a move -> identifier of its job }

local function name_of_move(remote, target, level, uid)
  return table.concat({ remote, target, level, uid }, "\\")
end

local function moves_under_way(client)
  local moves = under_way[client]
  if not moves then
    moves = {}
    for _, job in ipairs(client:jobs { expand = true } or {}) do
      local content = job.Content
      local query = job.Type == "DicomMoveScu" and UNFINISHED[job.State] and content.TargetAet and #content.Query == 1 and content.Query[1]
      local level = query and query["0008,0052"]
      if level and TAGS[level] and query[TAGS[level]] then
        moves[name_of_move(content.RemoteAet, content.TargetAet, level, query[TAGS[level]])] = job.ID
      end
    end
    under_way[client] = moves
  end
  return moves
end

-- The job that moves this resource to this target already, or nil.
local function job_under_way(modality, level, keys, options)
  local client = modality.client
  local moves = moves_under_way(client)
  if next(moves) == nil then
    return nil
  end
  local settings = client:modalities { expand = true } or {}
  local function aet_of(name)
    return settings[name] and settings[name].AET
  end
  local to = options and options.to
  local target = options and options.TargetAet or to and aet_of(type(to) == "string" and to or to.modality)
    or (client:system() or {}).DicomAet
  local id = moves[name_of_move(aet_of(modality.modality) or "", target or "", WORDS[level], keys[UNIQUE[level]])]
  return id and client:job(id)
end

-- ---- move_resources ----

local function move_one(modality, level, keys, options)
  local job = job_under_way(modality, level, keys, options)
  if job then
    local result, err = job:wait { wait_timeout = options and options.wait_timeout }
    if result or err.code ~= "job_gone" then
      return result, err
    end
  end
  return ours.move_one(modality, level, keys, options)
end

-- Failures that the next resource would meet too.
local HOPELESS = { network = true, auth = true, http = true, timeout = true }
local HOPELESS_CODES = { unknown_modality = true, unsupported = true, bad_aet = true, not_started = true }

local function is_hopeless(err)
  return HOPELESS[err.kind] or HOPELESS_CODES[err.code] or false
end

local function overall(op, level, outcomes, failed, first)
  if failed == 1 and #outcomes == 1 then
    first.error.outcomes = outcomes
    return first.error
  end
  local err = ours.fail(op, first.error.kind, first.error.code,
    ("%d of %d resources were not moved; the first of them, %s: %s"):format(failed, #outcomes, first.resource[UNIQUE[level]],
      first.error.message))
  for _, field in ipairs { "status", "orthanc_status", "dimse_status", "details", "job", "method", "path", "retryable" } do
    err[field] = first.error[field]
  end
  err.outcomes = outcomes
  return err
end

function methods:move_resources(level, resources, options)
  local op = "move_resources"
  local list, bad = ours.identifiers(op, level, resources)
  if not list then
    return nil, bad
  end
  local most = ours.move_options(options)
  if most and #list > most then
    return nil, ours.fail(op, "refused", "too_many", ("there are %d resources, and max is %d"):format(#list, most))
  end
  local outcomes, failed, first, hopeless = {}, 0, nil, nil
  for i, keys in ipairs(list) do
    local outcome = { resource = keys }
    if hopeless then
      outcome.error = ours.fail(op, hopeless.kind, "not_attempted", "not attempted, after: " .. hopeless.message)
    else
      outcome.result, outcome.error = move_one(self, list.level, keys, options)
    end
    outcomes[i] = outcome
    if outcome.error then
      failed, first = failed + 1, first or outcome
      hopeless = hopeless or is_hopeless(outcome.error) and outcome.error
    end
  end
  if failed > 0 then
    return nil, overall(op, list.level, outcomes, failed, first)
  end
  return outcomes
end

ours.describe(methods.move_resources,
  "modality:move_resources(level, resources [, {TargetAet = | to =, max =, verify =, LocalAet =, Timeout =, Priority =, "
    .. "Synchronous =, UserData =, wait_timeout =, extra =}]) -> outcomes | nil, err",
  "C-MOVE without a query, of a table of identifiers, an answer, or a list of them, one request each: {{resource =, result =}, …}. When "
    .. "some fail the others are still tried, and err.outcomes has {resource =, error =} for those. verify = true compares what has "
    .. "arrived.")

-- ---- the server's character set ----

function ours.client_methods:use_utf8()
  local before, err = self:default_encoding()
  local done = before
  if before then
    done, err = self:put("/tools/default-encoding", "Utf8")
  end
  if not done then
    return nil, err
  end
  return function()
    local restored, why = self:put("/tools/default-encoding", before)
    return restored and true, why
  end
end

ours.describe(ours.client_methods.use_utf8, "client:use_utf8() -> undo | nil, err",
  "Sets the server's DefaultEncoding to Utf8, for everybody who uses it, until its next start, or until undo() is called: letters of "
    .. "every script then get through it.")
