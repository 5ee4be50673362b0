-- core.move_resources: modality:move_resources, C-MOVE of resources without a query, one request each.
local require = ...
local arrival = require "core.arrival"
local levels = require "core.levels"
local native = require "core.native"
local progress_bar = require "core.progress_bar"
local requests = require "core.requests"

local move_resources = {}

local UNIQUE = levels.UNIQUE
local OP = "move_resources"

-- ---- jobs of earlier runs ----

-- A job goes on after the script that started it has ended, and after a restart of the server. When the script is run again, it must not
-- send the same resources twice, so move_resources waits for such a job. It reads the list of jobs once for each client: it waits for
-- every job that this process starts, so no new one is left running.
local UNFINISHED = { Pending = true, Running = true, Retry = true }
local IDENTIFIER_TAGS = { PATIENT = "0010,0020", STUDY = "0020,000d", SERIES = "0020,000e", IMAGE = "0008,0018" }

local earlier_jobs = setmetatable({}, { __mode = "k" }) -- client -> { key of a move -> ID of its job }

local function move_key(remote, target, uid)
  return table.concat({ remote, target, uid }, "\\")
end

local function earlier_jobs_of(client)
  if earlier_jobs[client] then
    return earlier_jobs[client]
  end
  local ids, jobs = {}, client:jobs { expand = true }
  for _, job in ipairs(jobs or {}) do
    local content = job.Content
    local query = job.Type == "DicomMoveScu" and UNFINISHED[job.State] and content.TargetAet and #content.Query == 1 and content.Query[1]
    local tag = query and IDENTIFIER_TAGS[query["0008,0052"]]
    if tag and query[tag] then
      ids[move_key(content.RemoteAet, content.TargetAet, query[tag])] = job.ID
    end
  end
  earlier_jobs[client] = jobs and ids -- after an error the next call asks again
  return ids
end

-- Returns the ID of the unfinished job that already moves this resource to this target, and the target; or nil. Forgets that job.
local function take_earlier_job(modality, level, keys, options)
  local client = modality.client
  local ids = earlier_jobs_of(client)
  if next(ids) == nil then
    return nil
  end
  local settings = client:modalities { expand = true } or {}
  local function aet_of(name)
    return settings[name] and settings[name].AET or ""
  end
  local to = options.to
  local target = options.TargetAet or to and aet_of(type(to) == "string" and to or to.modality) or (client:system() or {}).DicomAet
  local key = move_key(aet_of(modality.modality), target or "", keys[UNIQUE[level]])
  local id = ids[key]
  ids[key] = nil -- a later move of the same resource must be a new one
  return id, target
end

-- Returns the outcome of an earlier run's job, as for a job that this run started.
local function wait_for_earlier_job(modality, level, keys, options, id, target)
  if options.Synchronous == false or options.Asynchronous then
    return { ID = id, Path = "/jobs/" .. id }
  end
  local result, err = modality.client:job(id):wait { wait_timeout = options.wait_timeout }
  if result and (options.verify or level == "Patient") then
    return arrival.verify({ op = OP, client = modality.client, modality = modality, level = level, resources = { keys },
      body = { TargetAet = target }, result = result, job = id, path = "/jobs/" .. id }, "an earlier run started the job")
  end
  return result, err
end

-- ---- moves of resources that do not exist ----

-- Some modalities report success for resources that they do not have. A resource that came as an answer of the modality does exist; for
-- any other resource a C-FIND checks it.
local UIDS_PER_LIST = 50

-- Adds to the set `existing` those of the UIDs that the modality has. `parent`: the identifiers of the resource that they all belong to.
-- Returns true, or nil and an error.
local function add_existing(modality, level, parent, uids, existing, seconds)
  for first = 1, #uids, UIDS_PER_LIST do
    local query = { [UNIQUE[level]] = table.concat(uids, "\\", first, math.min(first + UIDS_PER_LIST - 1, #uids)) }
    for name, value in pairs(parent) do
      query[name] = value
    end
    local found <close>, err = modality:find { Level = level, Query = query, wait_timeout = seconds }
    if not found then
      return nil, err
    end
    for _, answer in ipairs(found.answers) do
      existing[answer[UNIQUE[level]] or ""] = true
    end
  end
  return true
end

-- Groups outcomes by the parent of their resources: a list of { parent = its identifiers, uids =, outcomes = }.
local function group_by_parent(level, outcomes)
  local groups, by_key = {}, {}
  for _, outcome in ipairs(outcomes) do
    local parent = { StudyInstanceUID = outcome.resource.StudyInstanceUID, SeriesInstanceUID = outcome.resource.SeriesInstanceUID }
    parent[UNIQUE[level]] = nil
    local key = (parent.StudyInstanceUID or "") .. "\\" .. (parent.SeriesInstanceUID or "")
    local group = by_key[key]
    if not group then
      group = { parent = parent, uids = {}, outcomes = {} }
      by_key[key] = group
      table.insert(groups, group)
    end
    table.insert(group.uids, outcome.resource[UNIQUE[level]])
    table.insert(group.outcomes, outcome)
  end
  return groups
end

-- Turns a success into an error when the modality does not have the resource, or when this cannot be checked. `seconds`: the time limit
-- of each C-FIND, or nil.
local function check_existence(modality, level, unverified, seconds)
  for _, group in ipairs(group_by_parent(level, unverified)) do
    local existing = {}
    local done, find_error = add_existing(modality, level, group.parent, group.uids, existing, seconds)
    for _, outcome in ipairs(group.outcomes) do
      if not done then
        outcome.error = native.fail(OP, "unknown", "unproven",
          "the modality reports success, but modalua could not check whether it has this resource: " .. find_error.message)
      elseif not existing[outcome.resource[UNIQUE[level]]] then
        outcome.error = native.fail(OP, "dicom", "not_found",
          "the modality reports success, but it does not have this resource: nothing was moved")
      end
      if outcome.error then
        outcome.error.result, outcome.result = outcome.result, nil
      end
    end
  end
end

-- The successes of resources that did not come as answers of the modality.
local function unverified_outcomes(modality, resources, outcomes)
  local list = {}
  for i, outcome in ipairs(outcomes) do
    if outcome.result and not native.is_answer(modality, resources[i] or resources) then
      table.insert(list, outcome)
    end
  end
  return list
end

-- ---- move_resources ----

local function move_one(modality, level, keys, options)
  local id, target = take_earlier_job(modality, level, keys, options)
  if id then
    local result, err = wait_for_earlier_job(modality, level, keys, options, id, target)
    if result or err.code ~= "job_gone" then
      return result, err
    end
  end
  return native.move_one(modality, level, keys, options)
end

local COPIED_FIELDS = { "status", "orthanc_status", "dimse_status", "details", "job", "still_running", "missing", "result", "method",
  "path", "retryable" }

-- One error for all resources that failed: the first one's, with all outcomes.
local function move_resources_error(level, outcomes, failed, first)
  local err = first.error
  if #outcomes > 1 then
    err = native.fail(OP, err.kind, err.code, ("%d of %d resources were not moved; the first of them, %s: %s"):format(failed, #outcomes,
      first.resource[UNIQUE[level]], err.message))
    for _, field in ipairs(COPIED_FIELDS) do
      err[field] = first.error[field]
    end
  end
  err.outcomes = outcomes
  return err
end

-- Reports the progress of n resources to the function of the option `progress`, or to a bar. Returns a function to call after each
-- resource, one to call at the end, and perhaps a value for <close>, which removes the bar of a cancelled operation. In `options`, progress
-- becomes the function for a single C-MOVE, which reports the time.
local function report_progress(options, n)
  local with_bar = options.progress == true
  local tell = with_bar and progress_bar.bar or options.progress
  if type(tell) ~= "function" then
    local function ignore() end
    return ignore, ignore
  end
  local began, done, failed = native.now(), 0, 0
  local function report(state, over, outcome)
    tell { op = OP, state = state, seconds = native.now() - began, done = done, total = n, unit = "resources", failed = failed, over = over,
      outcome = outcome }
  end
  function options.progress(p)
    return not p.over and report(p.state, false)
  end
  local function on_outcome(outcome)
    done, failed = done + 1, failed + (outcome.error and 1 or 0)
    report("Running", false, outcome)
  end
  local function on_end(failures)
    failed = failures
    report(failed == 0 and "Success" or "Failure", true)
  end
  return on_outcome, on_end, with_bar and progress_bar.scope() or nil
end

-- Moves the resources one after the other. Returns an outcome for each. After an error that is fatal for all, the rest is not attempted.
local function move_each(modality, list, options_now, on_outcome)
  local outcomes, fatal = {}, nil
  for i, keys in ipairs(list) do
    local outcome = { resource = keys }
    if fatal then
      outcome.error = native.fail(OP, requests.cause(fatal), "not_attempted", "not attempted after this error: " .. fatal.message)
    else
      outcome.result, outcome.error = move_one(modality, list.level, keys, options_now())
    end
    fatal = fatal or outcome.error and requests.is_fatal(outcome.error) and outcome.error
    outcomes[i] = outcome
    on_outcome(outcome)
  end
  return outcomes
end

function move_resources.move_resources(modality, level, resources, options)
  local list, bad = native.identifiers(OP, level, resources)
  local max = native.move_options(options)
  if not list then
    return nil, bad
  elseif max and #list > max then
    return nil, native.fail(OP, "refused", "too_many", ("there are %d resources, and max is %d"):format(#list, max))
  end
  local own = {}
  for name, value in pairs(options or {}) do
    own[name] = value
  end
  local options_now = requests.with_time_left(own)
  local on_outcome, on_end, bar_scope = report_progress(own, #list)
  local _ <close> = bar_scope
  local outcomes = move_each(modality, list, options_now, on_outcome)
  if list.level ~= "Patient" and own.verify == nil and own.Synchronous ~= false and not own.Asynchronous then
    check_existence(modality, list.level, unverified_outcomes(modality, resources, outcomes), options_now().wait_timeout)
  end
  local failed, first = 0, nil
  for _, outcome in ipairs(outcomes) do
    if outcome.error then
      failed, first = failed + 1, first or outcome
    end
  end
  on_end(failed)
  if failed > 0 then
    return nil, move_resources_error(list.level, outcomes, failed, first)
  end
  return outcomes
end

return move_resources
