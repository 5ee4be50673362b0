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

-- ---- moves that are under way already ----

-- A job outlives the script that started it, and the server's restart: a script that is run again must not send everything twice. What this
-- process has started itself, it waits for; so one look at the server's jobs is enough for each client.
local UNFINISHED = { Pending = true, Running = true, Retry = true }
local TAGS = { PATIENT = "0010,0020", STUDY = "0020,000d", SERIES = "0020,000e", IMAGE = "0008,0018" }

local under_way = setmetatable({}, { __mode = "k" }) -- client -> { name of a move -> identifier of its job }

local function name_of_move(remote, target, uid)
  return table.concat({ remote, target, uid }, "\\")
end

local function moves_under_way(client)
  if under_way[client] then
    return under_way[client]
  end
  local moves, jobs = {}, client:jobs { expand = true }
  for _, job in ipairs(jobs or {}) do
    local content = job.Content
    local query = job.Type == "DicomMoveScu" and UNFINISHED[job.State] and content.TargetAet and #content.Query == 1 and content.Query[1]
    local tag = query and TAGS[query["0008,0052"]]
    if tag and query[tag] then
      moves[name_of_move(content.RemoteAet, content.TargetAet, query[tag])] = job.ID
    end
  end
  under_way[client] = jobs and moves -- what could not be had is asked for again
  return moves
end

-- Takes the job that moves this resource to this target already: its identifier and the target, or nil.
local function take_job_under_way(modality, level, keys, options)
  local client = modality.client
  local moves = moves_under_way(client)
  if next(moves) == nil then
    return nil
  end
  local settings = client:modalities { expand = true } or {}
  local function aet_of(name)
    return settings[name] and settings[name].AET or ""
  end
  local to = options.to
  local target = options.TargetAet or to and aet_of(type(to) == "string" and to or to.modality) or (client:system() or {}).DicomAet
  local name = name_of_move(aet_of(modality.modality), target or "", keys[UNIQUE[level]])
  local id = moves[name]
  moves[name] = nil -- what becomes of it says nothing of a later move
  return id, target
end

-- The outcome of that job, as if we had started it.
local function join_job(modality, level, keys, options, id, target)
  if options.Synchronous == false or options.Asynchronous then
    return { ID = id, Path = "/jobs/" .. id }
  end
  local result, err = modality.client:job(id):wait { wait_timeout = options.wait_timeout }
  if result and (options.verify or level == "Patient") then
    return arrival.prove({ op = OP, client = modality.client, modality = modality, level = level, resources = { keys },
      body = { TargetAet = target }, result = result, job = id, path = "/jobs/" .. id }, "what an earlier run has started is compared")
  end
  return result, err
end

-- ---- moves of nothing ----

-- Some modalities report success of what they do not have. What they have given as an answer they have; of the rest they are asked.
local AT_ONCE = 50 -- UIDs in a C-FIND

-- The UIDs at one place of the hierarchy, `above` in the query, that the modality has: adds them to the set. True, or nil and an error.
local function add_existing(modality, level, above, uids, set, seconds)
  for first = 1, #uids, AT_ONCE do
    local query = { [UNIQUE[level]] = table.concat(uids, "\\", first, math.min(first + AT_ONCE - 1, #uids)) }
    for name, value in pairs(above) do
      query[name] = value
    end
    local found <close>, err = modality:find { Level = level, Query = query, wait_timeout = seconds }
    if not found then
      return nil, err
    end
    for _, answer in ipairs(found.answers) do
      set[answer[UNIQUE[level]] or ""] = true
    end
  end
  return true
end

-- Makes errors of the outcomes that are successes of nothing. `doubtful`: those to look at; seconds: for each question, or nil.
local function refute(modality, level, doubtful, seconds)
  local places, order = {}, {}
  for _, outcome in ipairs(doubtful) do
    local above = { StudyInstanceUID = outcome.resource.StudyInstanceUID, SeriesInstanceUID = outcome.resource.SeriesInstanceUID }
    above[UNIQUE[level]] = nil
    local name = (above.StudyInstanceUID or "") .. "\\" .. (above.SeriesInstanceUID or "")
    if not places[name] then
      places[name] = { above = above, uids = {}, outcomes = {} }
      table.insert(order, places[name])
    end
    table.insert(places[name].uids, outcome.resource[UNIQUE[level]])
    table.insert(places[name].outcomes, outcome)
  end
  for _, place in ipairs(order) do
    local there = {}
    local known, why = add_existing(modality, level, place.above, place.uids, there, seconds)
    for _, outcome in ipairs(place.outcomes) do
      if not known then
        outcome.error = native.fail(OP, "unknown", "unproven",
          "the modality reports success, but whether it has this at all cannot be asked: " .. why.message)
      elseif not there[outcome.resource[UNIQUE[level]]] then
        outcome.error = native.fail(OP, "dicom", "not_found", "the modality reports success, but it has no such thing: nothing was moved")
      end
      if outcome.error then
        outcome.error.result, outcome.result = outcome.result, nil
      end
    end
  end
end

-- ---- move_resources ----

local function move_one(modality, level, keys, options)
  local id, target = take_job_under_way(modality, level, keys, options)
  if id then
    local result, err = join_job(modality, level, keys, options, id, target)
    if result or err.code ~= "job_gone" then
      return result, err
    end
  end
  return native.move_one(modality, level, keys, options)
end

local PASSED_ON = { "status", "orthanc_status", "dimse_status", "details", "job", "still_running", "missing", "result", "method", "path",
  "retryable" }

local function overall(level, outcomes, failed, first)
  local err = first.error
  if #outcomes > 1 then
    err = native.fail(OP, err.kind, err.code, ("%d of %d resources were not moved; the first of them, %s: %s"):format(failed, #outcomes,
      first.resource[UNIQUE[level]], err.message))
    for _, field in ipairs(PASSED_ON) do
      err[field] = first.error[field]
    end
  end
  err.outcomes = outcomes
  return err
end

-- What the option `progress` is told of a list of n: a function for a resource that is done, one for the end, and what takes a bar away
-- that is cancelled. The option of each call becomes one that passes on that time goes by.
local function progress_of(options, n)
  local with_bar = options.progress == true
  local tell = with_bar and progress_bar.bar or options.progress
  if type(tell) ~= "function" then
    local function nobody() end
    return nobody, nobody
  end
  local began, done, failed = native.now(), 0, 0
  local function report(state, over, outcome)
    tell { op = OP, state = state, seconds = native.now() - began, done = done, total = n, unit = "resources", failed = failed, over = over,
      outcome = outcome }
  end
  function options.progress(p)
    return not p.over and report(p.state, false)
  end
  return function(outcome)
    done, failed = done + 1, failed + (outcome.error and 1 or 0)
    report("Running", false, outcome)
  end, function(failures)
    failed = failures
    report(failed == 0 and "Success" or "Failure", true)
  end, with_bar and progress_bar.scope() or nil
end

local function move_each(modality, list, left, done)
  local outcomes, hopeless = {}, nil
  for i, keys in ipairs(list) do
    local outcome = { resource = keys }
    if hopeless then
      outcome.error = native.fail(OP, hopeless.kind, "not_attempted", "not attempted, after: " .. hopeless.message)
    else
      outcome.result, outcome.error = move_one(modality, list.level, keys, left())
    end
    hopeless = hopeless or outcome.error and requests.is_hopeless(outcome.error) and outcome.error
    outcomes[i] = outcome
    done(outcome)
  end
  return outcomes
end

-- The successes of resources that the modality has not given as answers.
local function doubtful(modality, resources, outcomes)
  local list = {}
  for i, outcome in ipairs(outcomes) do
    if outcome.result and not native.is_answer(modality, resources[i] or resources) then
      table.insert(list, outcome)
    end
  end
  return list
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
  local left = requests.in_time(own)
  local done, over, scope = progress_of(own, #list)
  local _ <close> = scope
  local outcomes = move_each(modality, list, left, done)
  if list.level ~= "Patient" and own.verify == nil and own.Synchronous ~= false and not own.Asynchronous then
    refute(modality, list.level, doubtful(modality, resources, outcomes), left().wait_timeout)
  end
  local failed, first = 0, nil
  for _, outcome in ipairs(outcomes) do
    if outcome.error then
      failed, first = failed + 1, first or outcome
    end
  end
  over(failed)
  if failed > 0 then
    return nil, overall(list.level, outcomes, failed, first)
  end
  return outcomes
end

return move_resources
