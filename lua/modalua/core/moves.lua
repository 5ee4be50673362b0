-- core.moves: what every C-MOVE has in common. It is not sent while a job makes the same move, its success is verified, and it refuses
-- patients with identifiers that modalities confuse.
--
-- moves.plan makes a plan: the description of a C-MOVE.
local require = ...
local arrival = require "core.arrival"
local holdings = require "core.holdings"
local job_outcome = require "core.job_outcome"
local levels = require "core.levels"
local native = require "core.native"
local running_jobs = require "core.running_jobs"

local moves = {}

moves.ASKED = "the option verify asks for this check"

-- Completes the description of a C-MOVE: { op =, modality =, level =, resources = a list of tables of keys, deadline =, path = the one that
-- errors name, options = a function that returns the options with the time that is left, send = a function (options, more) that sends the
-- request, retrieve = the path of a query's request, or nil, found_nothing = the find of this client had no answers }. `target`: from
-- move_target.find; `own`: the options of the caller.
function moves.plan(plan, target, own)
  plan.client, plan.ignored = plan.modality.client, {}
  plan.target, plan.to, plan.hint = target.aet, target.name, target.hint
  plan.believed, plan.verify = own.verify == false, own.verify -- believed: nothing is looked at
  plan.handle = own.Synchronous == false or own.Asynchronous == true -- it is not waited for
  plan.blocking = own.Synchronous == true or own.Asynchronous == false -- the answer comes at the end, and names no job
  return plan
end

-- The description of a plan's transfer for core.arrival.
function moves.data(plan)
  return { op = plan.op, client = plan.client, modality = plan.modality, level = plan.level, resources = plan.resources,
    target = plan.target, to = plan.to, believed = plan.believed, deadline = plan.deadline, path = plan.path,
    found_nothing = plan.found_nothing, joined = plan.joined }
end

-- Why the success of a job that another call has started is no proof for this plan; nil when it is one.
local function doubt_of_joined(plan, id, result)
  if plan.believed then
    return nil
  elseif plan.verify then
    return moves.ASKED
  elseif plan.level == "Patient" then
    return "at Patient level some modalities report success and send nothing"
  end
  return running_jobs.doubt_of(id, result)
end

local PAUSED = {}

-- Waits for a job that another call has started. It must not wait for a job that is paused, which may never end.
local function wait_for(plan, id)
  local function check(p)
    if p.state == "Paused" then
      error(PAUSED, 0)
    end
  end
  local good, result, err = pcall(function()
    return plan.client:job(id):wait { wait_timeout = plan.options().wait_timeout, progress = check }
  end)
  if good then
    return result, err
  elseif result ~= PAUSED then
    error(result, 0)
  end
  err = native.fail(plan.op, "refused", "other_job", ("job %s makes the same move, and is paused: nothing was sent; resume or cancel it")
    :format(id))
  err.job = id
  return nil, err
end

-- Joins a job that another call has started. Returns as moves.submit does.
local function join(plan, id)
  plan.joined = true
  if plan.handle then
    local facts = moves.data(plan)
    facts.body, facts.reason = { TargetAet = plan.target }, doubt_of_joined(plan, id)
    job_outcome.remember(plan.client, id, facts)
    return { ID = id, Path = "/jobs/" .. id }, nil, id
  end
  local result, err = wait_for(plan, id)
  if not result and err.code == "unproven" and err.result and not err.orthanc_status then -- a success; this process may know the job
    result = err.result
  elseif not result then
    err.op = plan.op
    return nil, err
  end
  return result, doubt_of_joined(plan, id, result), id
end

-- Sends the request of a plan, or waits for the job that makes this move already. Returns the server's result (false when the job is
-- gone), why it is no proof (or nil), and the job's ID; nil and an error; or nil, nil and "part" when jobs move a part of it.
function moves.submit(plan)
  local submission <close> = running_jobs.submission(plan.level, plan.resources)
  local more = { op = plan.op, resources = plan.resources, level = plan.level, hint = plan.hint, retrieve = plan.retrieve,
    target = plan.target, to = plan.to, ignored = plan.ignored, others = plan.others, found_nothing = plan.found_nothing,
    submission = not plan.blocking and submission or nil }
  while true do
    local result, reason, job = plan.send(plan.options(), more)
    if job ~= "busy" then
      return result, reason, job
    end
    local choice, err = running_jobs.choose(plan, reason)
    if not choice then
      return nil, err
    elseif choice == "part" then
      return nil, nil, "part"
    elseif choice ~= "none" then
      result, reason, job = join(plan, choice)
      if result ~= nil or reason.code ~= "job_gone" then
        return result, reason, job
      end
      plan.joined = nil
    end
  end
end

-- A text that is the same for rows that name the same resource.
local function key_of(keys)
  return table.concat({ keys.PatientID or "", keys.StudyInstanceUID or "", keys.SeriesInstanceUID or "", keys.SOPInstanceUID or "" }, "\\")
end

-- The resources that rows name, each once: a list of { keys =, row = the first row, as the caller gave it, first = its place }, and the
-- place in that list of each row. `list`: the keys of each row.
function moves.distinct(list, rows)
  local resources, by_key, place_of = {}, {}, {}
  for i, keys in ipairs(list) do
    local name = key_of(keys)
    if not by_key[name] then
      resources[#resources + 1] = { keys = keys, row = rows[i] or rows, first = i }
      by_key[name] = #resources
    end
    place_of[i] = by_key[name]
  end
  return resources, place_of
end

local function patient_of(row)
  local id = native.value(row, "0010,0020")
  return id and id:match "^[ %z]*(.-)[ %z]*$"
end

-- Returns nil and an error when rows give one resource to two patients: one of them is wrong. Else returns true.
function moves.check_owners(op, level, list, rows)
  local owners = {}
  for i, keys in ipairs(list) do
    local name, owner = key_of(keys), patient_of(rows[i] or rows)
    if level ~= "Patient" and owner and owner ~= "" then
      if owners[name] and owners[name] ~= owner then
        return nil, native.fail(op, "refused", "bad_identifier", ("%s = '%s' is given to the patients '%s' and '%s': nothing was sent")
          :format(levels.UNIQUE[level], keys[levels.UNIQUE[level]], owners[name], owner))
      end
      owners[name] = owner
    end
  end
  return true
end

-- Returns nil and an error when the source, or this Orthanc, has a patient that Orthanc takes for one of these: a C-MOVE would send both.
-- Else returns true. `plan` needs the fields op, client, modality, level and resources alone.
function moves.check_patients(plan)
  if plan.level ~= "Patient" then
    return true
  end
  for _, place in ipairs { holdings.modality(plan.modality), holdings.here(plan.client) } do
    for _, keys in ipairs(plan.resources) do
      local other, err = holdings.joined_patient(place, plan, keys.PatientID)
      if other then
        return nil, native.fail(plan.op, "refused", "bad_identifier", ("%s has the patients '%s' and '%s', and Orthanc takes them for one, "
          .. "since it compares neither case nor some signs: nothing was sent; move the studies"):format(place.modality
          and "the modality" or "this Orthanc", keys.PatientID, other))
      elseif other == nil and type(err) == "table" then
        break -- the C-MOVE will say more than this search
      end
    end
  end
  return true
end

-- Returns the result of a submitted plan, after a look at the destination; or nil and an error. The arguments behind the plan are what
-- moves.submit returned.
function moves.conclude(plan, result, reason, job)
  local data = moves.data(plan)
  if result == nil then
    local doubt = not plan.believed and arrival.doubt_of(reason)
    if not doubt then
      return nil, reason
    end
    local items = arrival.examined(data, doubt)
    data.job = reason.job
    return arrival.settle(data, items, reason, doubt)
  elseif plan.handle then
    return result
  elseif plan.believed and result then
    result.verified = false
    return result
  end
  data.result, data.job = result, job
  return arrival.verify(data, reason)
end

return moves
