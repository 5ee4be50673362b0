-- core.move_resources: modality:move_resources, C-MOVE of resources without a query, one request each. core.move uses it for queries whose
-- answers cannot be moved as they are.
local require = ...
local arrival = require "core.arrival"
local levels = require "core.levels"
local move_target = require "core.move_target"
local moves = require "core.moves"
local native = require "core.native"
local progress_bar = require "core.progress_bar"
local requests = require "core.requests"

local move_resources = {}

local UNIQUE = levels.UNIQUE

-- ---- the outcome ----

local COPIED_FIELDS = { "status", "orthanc_status", "dimse_status", "details", "job", "still_running", "missing", "result", "method",
  "path", "retryable" }

-- One error for all resources that failed: the first one's, with all outcomes.
local function all_failures(work, outcomes, failed, first)
  local err = first.error
  if #outcomes > 1 then
    err = native.fail(work.op, err.kind, err.code, ("%d of %d resources were not moved; the first of them, %s: %s"):format(failed,
      #outcomes, first.resource[UNIQUE[work.level]], err.message))
    for _, field in ipairs(COPIED_FIELDS) do
      err[field] = first.error[field]
    end
  end
  err.outcomes = outcomes
  return err
end

-- ---- progress ----

-- Reports the progress of n resources to the function of the option `progress`, or to a bar. Returns a function to call after each
-- resource (with its first row), one to call with each outcome that is final, one to call at the end, and perhaps a value for <close>,
-- which removes the bar of a cancelled operation. In `options`, progress becomes the function for a single C-MOVE, which reports the time.
local function report_progress(op, options, n)
  local with_bar = options.progress == true
  local tell = with_bar and progress_bar.bar or options.progress
  if type(tell) ~= "function" then
    local function ignore() end
    return ignore, ignore, ignore
  end
  local began, done, failed = native.now(), 0, 0
  local function report(state, over, sent, outcome)
    tell { op = op, state = state, seconds = native.now() - began, done = done, total = n, unit = "resources", failed = failed, over = over,
      sent = sent, outcome = outcome }
  end
  function options.progress(p)
    return report(p.state, false)
  end
  local function on_sent(row, outcome)
    done, failed = done + 1, failed + (outcome.error and 1 or 0)
    report("Running", false, row)
  end
  local function on_outcome(outcome)
    report("Running", false, nil, outcome)
  end
  local function on_end(failures)
    failed = failures
    report(failed == 0 and "Success" or "Failure", true)
  end
  return on_sent, on_outcome, on_end, with_bar and progress_bar.scope() or nil
end

-- ---- the moves ----

-- The plan of some of the resources.
local function plan_of(work, resources)
  return moves.plan({ op = work.op, modality = work.modality, level = work.level, resources = resources, deadline = work.deadline,
    options = work.options_now, path = work.path, send = function(options, more)
      return native.move_one(work.modality, work.level, resources, options, more)
    end }, work.target, work.options)
end

-- Notes what the server says about one C-MOVE. What is no proof waits for the look at the destination, at the end.
local function note(plan, outcome, result, reason, job)
  if result == nil then
    outcome.error, outcome.doubt = reason, not plan.believed and arrival.doubt_of(reason) or nil
  elseif plan.handle then
    outcome.result = result
  elseif plan.believed and not reason then
    outcome.result, result.verified = result, false
  else
    outcome.result, outcome.doubt, outcome.job, outcome.waits = result, reason, job, true
  end
end

-- Moves the resources one after the other. Returns an outcome for each. After an error that is fatal for all, the rest is not attempted.
local function move_each(work, resources, on_sent)
  local outcomes, fatal = {}, nil
  for i, resource in ipairs(resources) do
    local outcome = { resource = resource.keys, row = resource.row }
    if fatal then
      outcome.error = native.fail(work.op, requests.cause(fatal), "not_attempted", "not attempted after this error: " .. fatal.message)
    else
      local plan = plan_of(work, { resource.keys })
      note(plan, outcome, moves.submit(plan))
    end
    fatal = fatal or outcome.error and not outcome.doubt and requests.is_fatal(outcome.error) and outcome.error
    outcomes[i] = outcome
    on_sent(i, outcome)
  end
  return outcomes
end

-- ---- the look at the destination ----

-- The outcome of one item. A resource that did not come as an answer of the modality may not exist at all; that must be known too.
local function conclude(work, data, outcome)
  data.result, data.job = outcome.result or nil, outcome.job
  if outcome.error then
    return arrival.settle(data, { outcome.item }, outcome.error, outcome.doubt)
  end
  local item = outcome.item
  if item.state == "unchecked" and not item.doubt and item.sent == nil and not native.answer_level(work.modality, outcome.row) then
    return nil, native.fail(work.op, "unknown", "unproven", "the modality reports success, but modalua could not check whether it has this "
      .. "resource: " .. arrival.reason_text(item.why))
  end
  return arrival.conclude(data, { item }, outcome.doubt)
end

-- Looks at all resources together, when all have been sent: a destination may have removed the first of them meanwhile.
local function look(work, outcomes)
  local data = moves.data(plan_of(work, {}))
  local items = {}
  for _, outcome in ipairs(outcomes) do
    if outcome.waits or outcome.doubt then
      outcome.item = { level = work.level, keys = outcome.resource, doubt = outcome.doubt }
      items[#items + 1] = outcome.item
    end
  end
  if #items > 0 then
    arrival.examine(data, items)
  end
  for _, outcome in ipairs(outcomes) do
    if outcome.item then
      local result, err = conclude(work, data, outcome)
      if err and outcome.result then
        err.result = err.result or outcome.result
      end
      outcome.result, outcome.error = result, err
    end
  end
end

-- ---- move_resources ----

-- The outcomes of the rows: { resource =, result = or error = }.
local function outcomes_of_rows(list, place_of, outcomes)
  local rows = {}
  for i, keys in ipairs(list) do
    local outcome = outcomes[place_of[i]]
    rows[i] = { resource = keys, result = outcome.result, error = outcome.error }
  end
  return rows
end

-- Tells the outcomes of the first rows that are final, and have not been told yet.
local function teller(place_of, outcomes, on_outcome)
  local told = 0
  return function(all)
    while place_of[told + 1] do
      local outcome = outcomes[place_of[told + 1]]
      if not outcome or not all and (outcome.waits or outcome.doubt) then
        return
      end
      told = told + 1
      on_outcome(told)
    end
  end
end

-- Sets work.resources, work.place_of and work.target, and checks what may be moved. Returns true, or nil and an error.
local function prepare(work)
  local own = work.options
  local owned, confused = moves.check_owners(work.op, work.level, work.list, work.rows)
  if not owned then
    return nil, confused
  end
  local resources, place_of = moves.distinct(work.list, work.rows)
  if work.max and #resources > work.max then
    return nil, native.fail(work.op, "refused", "too_many", ("there are %d resources, and max is %d"):format(#resources, work.max))
  end
  work.resources, work.place_of = resources, place_of
  work.options_now, work.deadline = requests.with_time_left(own), requests.deadline(own)
  work.path = work.path or ("/modalities/%s/move"):format(work.modality.modality)
  local operation = { client = work.modality.client, op = work.op, method = "POST", deadline = work.deadline, path = work.path }
  local err
  work.target, err = move_target.find(operation, own)
  if not work.target then
    return nil, err
  end
  own.to, own.TargetAet = nil, work.target.aet
  local keys_of_all = {}
  for i, resource in ipairs(resources) do
    keys_of_all[i] = resource.keys
  end
  return moves.check_patients(plan_of(work, keys_of_all))
end

-- Moves rows as `work` says: { op =, modality =, level =, list = the keys of each row, rows = as the caller gave them, options = a copy of
-- the caller's, max =, path = of errors or nil }. Returns the outcomes of the rows, or nil and an error.
function move_resources.run(work)
  local good, err = prepare(work)
  if not good then
    return nil, err
  end
  local on_sent, on_outcome, on_end, bar_scope = report_progress(work.op, work.options, #work.resources)
  local _ <close> = bar_scope
  local outcomes = {}
  local tell = teller(work.place_of, outcomes, function(i)
    local outcome = outcomes[work.place_of[i]]
    on_outcome { resource = work.list[i], result = outcome.result, error = outcome.error }
  end)
  move_each(work, work.resources, function(place, outcome)
    outcomes[place] = outcome
    on_sent(work.resources[place].first, outcome)
    tell(false)
  end)
  look(work, outcomes)
  tell(true)
  local rows = outcomes_of_rows(work.list, work.place_of, outcomes)
  local failed, first = 0, nil
  for _, outcome in ipairs(rows) do
    if outcome.error then
      failed, first = failed + 1, first or outcome
    end
  end
  on_end(failed)
  if failed > 0 then
    return nil, all_failures(work, rows, failed, first)
  end
  return rows
end

function move_resources.move_resources(modality, level, resources, options)
  local op = "move_resources"
  local list, bad = native.identifiers(op, level, resources)
  local max = native.move_options(options)
  if not list then
    return nil, bad
  end
  local own = {}
  for name, value in pairs(options or {}) do
    own[name] = value
  end
  own.max = nil
  return move_resources.run { op = op, modality = modality, level = list.level, list = list, rows = resources, options = own, max = max }
end

return move_resources
