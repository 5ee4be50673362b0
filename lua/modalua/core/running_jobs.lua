-- core.running_jobs: the server's unfinished jobs that move something already. A job goes on after the script that started it has ended,
-- and after a restart of the server; and two processes may work on one list. What a job moves must not be sent a second time.
local require = ...
local levels = require "core.levels"
local native = require "core.native"
local steps = require "core.native_steps"

local running_jobs = {}

-- The states of Orthanc's jobs: whether one in that state is waited for.
local IS_WAITED_FOR = { Pending = true, Running = true, Retry = true, Paused = false, Success = false, Failure = false }
local QUERY_RETRIEVE_LEVEL = "0008,0052"

-- ---- the jobs that this process started ----

local KEPT = 1000 -- with so many, the older half is forgotten

-- ID of a job -> { modality = its name, target =, permissive = it may hide failures }
local started, before, noted = {}, {}, 0

-- Called by src/api/transfer.c when the server has named the job of a C-MOVE.
function running_jobs.note(data, job)
  noted = noted + 1
  if noted > KEPT then
    started, before, noted = {}, started, 1
  end
  started[job] = { modality = data.modality.modality, target = data.body.TargetAet, permissive = data.body.Permissive }
  if data.submission then
    data.submission:close()
  end
end

local function note_of(job)
  return started[job] or before[job]
end

-- Why the success of a job that another call has started is no proof; nil when it is one. Permissive hides failures, and only newer servers
-- list the outcome of each resource.
function running_jobs.doubt_of(job, result)
  local note = note_of(job)
  if note and not note.permissive or not note and type(result) == "table" and type(result.Details) == "table" then
    return nil
  end
  return "another run started the job, which may have hidden failures"
end

-- ---- what a job moves ----

-- The set of resources of a job, or of a transfer: texts of a level and a unique key.
local function resource_key(level, uid)
  return levels.WORDS[level] .. "\\" .. uid
end

local function resources_of(content)
  local set = {}
  for _, query in ipairs(type(content.Query) == "table" and content.Query or {}) do
    query = type(query) == "table" and query or {}
    local level = levels.OF_WORD[query.QueryRetrieveLevel or native.value(query, QUERY_RETRIEVE_LEVEL) or ""]
    local uid = level and native.value(query, native.tag(levels.UNIQUE[level]))
    for one in (uid or ""):gmatch "[^\\]+" do -- one C-MOVE may be for a list of UIDs
      set[resource_key(level, one)] = true
    end
  end
  return set
end

-- How many of the transfer's resources the job moves.
local function overlap(content, data)
  local set, n = resources_of(content), 0
  for _, keys in ipairs(data.resources) do
    if set[resource_key(data.level, keys[levels.UNIQUE[data.level]])] then
      n = n + 1
    end
  end
  return n
end

-- ---- the jobs that this process is starting ----

-- The server lists a job before its answer to the submission names it. Submissions whose answer has not come yet -> true.
local under_way = {}

local Submission = {}
Submission.__index = Submission

function Submission:close()
  under_way[self] = nil
end

Submission.__close = Submission.close

-- A submission of these resources, for data.submission of its transfer.
function running_jobs.submission(level, resources)
  return setmetatable({ level = level, resources = resources }, Submission)
end

local function is_starting(content)
  for submission in pairs(under_way) do
    if overlap(content, submission) > 0 then
      return true
    end
  end
  return false
end

local SECONDS_BETWEEN <const> = 0.01
local SECONDS_TO_NAME <const> = 10 -- in vain, where the other tasks cannot run

-- Waits until it is known whether the job is one that this process is starting.
local function await_note(plan, job)
  local deadline = math.min(native.now() + SECONDS_TO_NAME, plan.deadline or math.huge)
  while not note_of(job.id) and is_starting(job.content) and native.now() < deadline do
    native.sleep(SECONDS_BETWEEN)
  end
end

-- Why a job of the server's list cannot be waited for; nil when it can.
local function fault_of(job)
  if IS_WAITED_FOR[job.State] == nil then
    return ("its State is %s, which Orthanc does not have"):format(native.said(job.State))
  elseif not steps.is_handle(job.ID) then
    return ("its ID is %s"):format(native.said(job.ID))
  end
end

-- What an operation of many transfers knows of other runs, for plan.others: { earlier = the set of the jobs that had succeeded before it
-- began, nil before the first look; all = its resources, as texts; met = another run moves some of them }.
function running_jobs.others(level, resources)
  local all = {}
  for _, resource in ipairs(resources) do
    all[resource_key(level, resource.keys[levels.UNIQUE[level]])] = true
  end
  return { all = all }
end

local function look_for_others(others, jobs)
  local earlier = others.earlier or {}
  for _, job in ipairs(jobs) do
    if not others.earlier and job.State == "Success" and job.ID then
      earlier[job.ID] = true
    elseif job.ID and not earlier[job.ID] and not note_of(job.ID) and job.Type == "DicomMoveScu" and type(job.Content) == "table" then
      for name in pairs(resources_of(job.Content)) do
        others.met = others.met or others.all[name]
      end
    end
  end
  others.earlier = earlier
end

-- Whether the job has succeeded since the operation began: another run of the same list was a little faster.
local function has_just_ended(others, job)
  return others and job.State == "Success" and job.ID and not others.earlier[job.ID]
end

-- Returns the unfinished jobs that move resources of a transfer, as a list of { id =, content =, covers = whether all of them, ended =
-- it has succeeded since the operation began, fault = why it cannot be waited for, or nil }; nil when there are none. src/api/transfer.c
-- calls it with the server's list before it sends anything; so it must not wait for anything.
function running_jobs.of_resources(jobs, data)
  local list = {}
  if data.others then
    look_for_others(data.others, jobs)
  end
  for _, job in ipairs(jobs) do
    local content, ended = job.Content, has_just_ended(data.others, job)
    if type(content) == "table" and job.Type == "DicomMoveScu" and (ended or IS_WAITED_FOR[job.State] ~= false)
      and not (job.ID and data.ignored[job.ID]) then
      local n = overlap(content, data)
      if n == #data.resources or n > 0 and not ended then
        list[#list + 1] = { id = job.ID, content = content, covers = n == #data.resources, ended = ended, fault = fault_of(job) }
      end
    end
  end
  if list[1] then
    return list
  elseif data.submission then
    under_way[data.submission] = true
  end
end

-- When a job was made; "", which is before all times, when its record does not tell.
local function creation_of(job)
  local text = job.CreationTime
  return type(text) == "string" and text:find "^%d%d%d%d%d%d%d%dT%d%d%d%d%d%d" and text or ""
end

-- The ID of the newest ended job of one of these types (a set) that was not made before `since`, and for which is_it(content) is true; nil
-- when the list has none.
local function newest_ended(jobs, types, since, is_it)
  local newest, latest = nil, since
  for _, job in ipairs(jobs) do
    if types[job.Type or ""] and type(job.Content) == "table" and (job.State == "Success" or job.State == "Failure")
      and steps.is_handle(job.ID) and creation_of(job) >= latest and is_it(job.Content) then
      newest, latest = job.ID, creation_of(job)
    end
  end
  return newest
end

-- The ID of the newest ended job that moved this resource from the modality with the AE title `source` to the AE title `target`, and was
-- not made before `since` (UTC, as Orthanc writes it: "20240131T101500"); nil when the list has none.
function running_jobs.ended_move(jobs, data, source, target, since)
  return newest_ended(jobs, { DicomMoveScu = true }, since, function(content)
    return content.RemoteAet == source and content.TargetAet == target and overlap(content, data) > 0
  end)
end

local STORES <const> = { DicomModalityStore = true, OrthancPeerStore = true }

-- Whether a job of these sends the resource with this identifier at this Orthanc.
local function is_of(content, id)
  for _, list in ipairs { content.Resources or false, content.ParentResources or false } do
    for _, resource in ipairs(type(list) == "table" and list or {}) do
      if resource == id or type(resource) == "table" and resource.ID == id then
        return true
      end
    end
  end
  return false
end

-- The same for a job that sent the resource with this identifier to a modality, `to` = { aet = }, or to a peer, { url = }.
function running_jobs.ended_store(jobs, id, to, since)
  return newest_ended(jobs, STORES, since, function(content)
    local peer = type(content.Peer) == "table" and (content.Peer.Url or content.Peer[1]) -- the long form has HttpHeaders or a certificate
    local is_there = to.aet and content.RemoteAet == to.aet or to.url and type(peer) == "string" and peer:gsub("/+$", "") == to.url
    return is_there and is_of(content, id)
  end)
end

-- Whether an unfinished job of the server's list sends a resource, which has this identifier at this Orthanc, to a modality or a peer.
function running_jobs.has_store(jobs, id)
  for _, job in ipairs(jobs) do
    if STORES[job.Type or ""] and IS_WAITED_FOR[job.State] ~= false and type(job.Content) == "table" and is_of(job.Content, id) then
      return true
    end
  end
  return false
end

-- ---- is it the same move? ----

local function address_of(settings)
  return ("%s:%s"):format(settings.Host, settings.Port)
end

-- Another modality that has the AE title of this one, and is at another place; nil when there is none.
local function twin_of(modalities, name)
  local own = modalities[name] or {}
  for other, settings in pairs(modalities) do
    if settings.AET == own.AET and address_of(settings) ~= address_of(own) then
      return other
    end
  end
end

-- Whether the job sends to the target of this transfer; nil when its record does not say.
local function has_target(content, target, own_aet)
  if content.TargetAet == nil then
    return nil
  end
  return content.TargetAet == (target or own_aet) or not target and content.TargetAet == content.LocalAet
end

local function fail_unknown(plan, job, what)
  local err = native.fail(plan.op, "refused", "other_job", ("job %s, which has not ended, moves the same already, and its record does not "
    .. "say %s: nothing was sent; wait until it has ended, and then try again"):format(job.id, what))
  err.job = job.id
  return nil, err
end

-- The server describes a job in a way that says nothing of what it does: perhaps it makes this very move.
local function fail_unclear(plan, job)
  local err = native.fail(plan.op, "unknown", "decode", ("unexpected response: a job moves the same, and %s; nothing was sent, and whether "
    .. "the job goes on is not known"):format(job.fault))
  err.job = type(job.id) == "string" and job.id or nil
  return nil, err
end

-- Compares a job with the transfer: "same" or "other"; or nil and an error when the job's record does not tell.
local function compare(plan, job, modalities, own_aet)
  local note, name = note_of(job.id), plan.modality.modality
  if note then
    return note.modality == name and (note.target or own_aet) == (plan.target or own_aet) and "same" or "other"
  end
  local settings, content = modalities[name] or {}, job.content
  if content.RemoteAet ~= settings.AET then
    return "other"
  end
  local same = has_target(content, plan.target, own_aet)
  if same == false then
    return "other"
  end
  local twin = twin_of(modalities, name)
  if twin then
    return fail_unknown(plan, job, ("whether from '%s' or from '%s', which have one AE title"):format(name, twin))
  elseif same == nil then
    return fail_unknown(plan, job, "where to")
  end
  return "same"
end

-- Returns the ID of the job that makes this very move, "part" when jobs make only a part of it, or "none" when none does; or nil and an
-- error when that cannot be told. Adds the jobs that do something else to plan.ignored, and sets plan.waits when that job goes on.
function running_jobs.choose(plan, jobs)
  for _, job in ipairs(jobs) do
    if job.fault then
      return fail_unclear(plan, job)
    end
  end
  local modalities, err = plan.client:modalities { expand = true }
  local system = modalities and plan.client:system()
  if not system then
    return nil, err or native.fail(plan.op, "refused", "other_job",
      "a job moves the same already, and the server does not say its own AE title: nothing was sent")
  end
  local part
  for _, job in ipairs(jobs) do
    await_note(plan, job)
    local verdict, failure = compare(plan, job, modalities, system.DicomAet)
    if not verdict and not job.ended then
      return nil, failure
    elseif verdict ~= "same" then
      plan.ignored[job.id] = true
    elseif job.covers then
      plan.waits = not job.ended
      return job.id
    else
      part = true
    end
  end
  return part and "part" or "none"
end

return running_jobs
