-- core.job_outcome: what job:wait() returns for a job that has ended. src/api/job.c calls of_success, of_failure and of_gone;
-- src/api/transfer.c calls remember.
--
-- `job` describes the job: id, op (the function that the script called), deadline, and record (what the server says of it) or error.
-- `facts` describe the transfer that started it, as `data` in core.arrival, with `reason`, why its success must be verified, or nil.
local require = ...
local arrival = require "core.arrival"
local levels = require "core.levels"
local move_failure = require "core.move_failure"
local native = require "core.native"
local steps = require "core.native_steps"

local job_outcome = {}

-- ---- what a client knows about its jobs ----

-- client -> { of = ID -> entry, ids = a queue of the IDs, first, last }. An entry has `facts`; later `result` or `error`, the outcome. With
-- more entries than this the oldest is dropped; its job then counts as one that another client has started, whose success is compared.
local MOST <const> = 10000

local known_jobs = setmetatable({}, { __mode = "k" })

local function jobs_of(client)
  local jobs = known_jobs[client]
  if not jobs then
    jobs = { of = {}, ids = {}, first = 1, last = 0 }
    known_jobs[client] = jobs
  end
  return jobs
end

-- The entry of a job; a new one when there is none.
local function entry_of(client, id)
  local jobs = jobs_of(client)
  local entry = jobs.of[id]
  if not entry then
    entry = {}
    jobs.last = jobs.last + 1
    jobs.of[id], jobs.ids[jobs.last] = entry, id
    if jobs.last - jobs.first >= MOST then
      jobs.of[jobs.ids[jobs.first]], jobs.ids[jobs.first] = nil, nil
      jobs.first = jobs.first + 1
    end
  end
  return entry
end

-- The script gets the handle of the job, or its wait ended before the job did.
function job_outcome.remember(client, id, facts)
  local entry = entry_of(client, id)
  entry.facts = entry.facts or facts
end

-- ---- jobs that this client has not started ----

local OPERATIONS = { DicomMoveScu = "move", DicomGetScu = "get", DicomModalityStore = "store", OrthancPeerStore = "store" }
local NOT_STARTED_HERE = "this client did not start the job, and its record does not show whether Permissive hid failures"

-- The only modality of the server with that AE title; nil and the reason.
local function modality_with(client, aet)
  local modalities, err = client:modalities { expand = true }
  if not modalities then
    return nil, err.message
  end
  local found, address
  for name, settings in pairs(modalities) do
    if settings.AET == aet then
      local own = ("%s:%s"):format(settings.Host, settings.Port)
      if found and address ~= own then
        return nil, ("two modalities of this server, at %s and at %s, have the AE title %s"):format(address, own, aet)
      end
      found, address = name, own
    end
  end
  if not found then
    return nil, ("this server knows no modality with the AE title %s"):format(type(aet) == "string" and #aet <= 16 and aet
      or native.said(aet))
  elseif not native.is_name(found) then
    return nil, ("modalua cannot use the name of the modality %s, which has the AE title %s"):format(native.said(found), aet)
  end
  return client:modality(found)
end

-- The level and the identifiers of the resources that a move or get was asked for; nil and the reason.
local function resources_of_queries(op, content)
  local queries = type(content.Query) == "table" and content.Query or {}
  local level, rows
  for i, query in ipairs(queries) do
    local own = type(query) == "table" and levels.OF_WORD[native.value(query, "QueryRetrieveLevel")]
    if not own or level and own ~= level then
      return nil, "its record does not show which resources it was asked for"
    end
    level, rows = own, rows or {}
    rows[i] = query
  end
  if not level then
    return nil, "its record shows no resource that it was asked for"
  end
  local keys, bad = native.identifiers(op, level, rows)
  return keys and level, keys or bad.message
end

-- The identifiers that a store was asked for; nil and the reason.
local function resources_of_store(content)
  local list = content.Resources or content.ParentResources
  local ids = {}
  for i, resource in ipairs(type(list) == "table" and list or {}) do
    ids[i] = type(resource) == "table" and resource.ID or resource
  end
  for _, id in ipairs(ids) do
    if steps.differs(id, "stored identifier") then
      ids = {}
    end
  end
  if not ids[1] then
    return nil, "its record does not show which resources it was asked for"
  end
  return ids
end

-- Whether a record of another Type may be that of a transfer: it has what other jobs do not have, or its Type is no text.
local function may_be_transfer(record)
  return record.Content.RemoteAet ~= nil or record.Content.Query ~= nil or record.Type ~= nil and type(record.Type) ~= "string"
end

-- What the record says about a transfer, in the form of facts. Nil for a job that is none. Nil and the reason when it does not say enough.
local function facts_of_record(client, job)
  local op, content = OPERATIONS[job.record.Type], job.record.Content
  if not op then
    return nil, may_be_transfer(job.record) and ("its record says that its Type is %s"):format(native.said(job.record.Type)) or nil
  elseif job.record.Type == "OrthancPeerStore" then
    return nil, "this server cannot ask a peer which instances it has"
  elseif op == "move" and type(content.TargetAet) ~= "string" then
    return nil, "its record does not show the destination"
  end
  local modality, why = modality_with(client, content.RemoteAet)
  if not modality then
    return nil, why
  end
  local facts = { op = op, client = client, modality = modality, body = { TargetAet = content.TargetAet } }
  if op == "store" then
    facts.resources, why = resources_of_store(content)
    return facts.resources and facts, why
  end
  local level, keys = resources_of_queries(job.op, content)
  if not level then
    return nil, keys
  end
  facts.level, facts.resources = level, keys
  return facts
end

-- ---- outcomes ----

local function job_error(job, kind, code, message)
  local err = native.fail(job.op, kind, code, message)
  err.job, err.method, err.path = job.id, "GET", "/jobs/" .. job.id
  err.result = job.record and job.record.Content
  return err
end

-- The description of the job's transfer for core.arrival.
local function data_of(job, facts)
  local data = { path = "/jobs/" .. job.id }
  for name, value in pairs(facts) do
    data[name] = value
  end
  data.called, data.job, data.deadline = job.op, job.id, job.deadline
  data.result = job.record and job.record.Content
  return data
end

-- Compares what the transfer should have brought with what is there, as far as that is needed. Returns its result, or nil and an error.
local function compared(job, facts, reason)
  return arrival.resolve(data_of(job, facts), reason)
end

local function of_other_client(client, job)
  local facts, reason = facts_of_record(client, job)
  if facts then
    return compared(job, facts, NOT_STARTED_HERE)
  elseif not reason then
    return job.record.Content
  end
  return nil, job_error(job, "unknown", "unproven",
    ("it is unknown whether everything arrived: %s, and modalua cannot check it: %s"):format(NOT_STARTED_HERE, reason))
end

-- Keeps the outcome when it is certain. When it is unknown, the facts are kept, so that the next wait compares again.
local function kept(entry, result, err)
  if result ~= nil or err.kind ~= "unknown" then
    entry.result, entry.error, entry.facts = result, err, nil
  end
  return result, err
end

function job_outcome.of_success(client, job)
  local entry = entry_of(client, job.id)
  if entry.result ~= nil or entry.error then
    return entry.result, entry.error
  elseif entry.facts then
    return kept(entry, compared(job, entry.facts, entry.facts.reason))
  end
  return kept(entry, of_other_client(client, job))
end

-- The server no longer knows the job.
function job_outcome.of_gone(client, job)
  local entry = entry_of(client, job.id)
  local known_error = entry.error or entry.failure
  if entry.result ~= nil then
    return entry.result
  elseif known_error then
    return nil, known_error
  elseif entry.facts then
    return kept(entry, compared(job, entry.facts, "the server has removed the job before its outcome was read"))
  end
  local err = job_error(job, "unknown", "job_gone", ("%s; the outcome of job %s is not known"):format(job.error.message, job.id))
  err.status = job.error.status
  return nil, err
end

-- Why the failure of a transfer leaves it open what has arrived, and the facts of the transfer; or why they are not known.
local function doubt_of_failure(client, job, facts, err)
  local doubt, why = arrival.doubt_of(err), nil
  if not doubt then
    return nil
  elseif not facts then
    facts, why = facts_of_record(client, job)
  end
  if facts and (facts.op == "store" or facts.believed) or not facts and not why then
    return nil
  end
  return doubt, facts, why
end

-- The job has failed. It can be run again, so its facts are kept, and what has arrived is compared each time.
function job_outcome.of_failure(client, job)
  local entry = entry_of(client, job.id)
  local _, err = move_failure.explain(job.error, client, entry.facts and entry.facts.body and entry.facts.body.TargetAet)
  local doubt, facts, why = doubt_of_failure(client, job, entry.facts, err)
  entry.failure = nil
  if facts then
    local data = data_of(job, facts)
    data.target = data.target or data.body.TargetAet
    local result, failure = arrival.settle(data, arrival.examined(data, doubt), err, doubt)
    entry.failure = failure
    return result, failure
  elseif doubt then
    arrival.set_unproven(err, why)
  end
  entry.failure = err
  return nil, err
end

return job_outcome
