--- Tries an operation of spec/support/mutate_rows.lua again and again, with one answer changed each time, and judges what it returns.
--
--   local targets = runs.record(w, case)              -- the answers that can be changed, from a run without any change
--   local list = runs.changes_of(w, targets)          -- one change for each run
--   local run = runs.try(w, row, case, list[1])       -- { changed =, fault = } and what it returned
local modalua = require "modalua"
local task = require "modalua.task"

local runs = {}

local LIMIT <const> = 60 -- seconds: a run that has not ended by then hangs
local JOB_ENDED <const> = '"CompletionTime"'

-- ---- one run ----

--- Runs the operation of a case after proxy:record() or proxy:set(…), which `choose` calls. Returns { ended =, threw =, result =, err = }.
local function run(w, case, choose)
  local f, before, after = case, nil, nil
  w:enter(type(case) == "table" and case.server or "local")
  if type(case) == "table" then
    f, before, after = case[1], case.before, case.after
  end
  w.proxy:record() -- what is prepared is not changed
  local it = before and before(w)
  choose(w.proxy)
  local outcome = { ended = false }
  task.timeout(LIMIT, function()
    local good, result, err = pcall(f, w, it)
    if good then
      outcome.result, outcome.err = result, err
    else
      outcome.threw, outcome.err = true, result
    end
    outcome.ended = true
  end)
  outcome.log = w.proxy:log()
  if after then
    w.proxy:record()
    after(w, it)
  end
  return outcome
end

-- ---- what can be changed ----

-- Adds an answer that can be changed.
local function add_target(targets, exchange, more)
  local target = { method = exchange.method, route = exchange.route, places = exchange.places }
  for key, value in pairs(more) do
    target[key] = value
  end
  targets[#targets + 1] = target
end

--- Runs a case without a change. Returns the answers that can be changed: { method =, route =, nth =, containing =, places = }, and
-- the outcome. An answer that comes several times, such as a poll, is changed the first time, the second time, or always; of a job also
-- when it has ended.
function runs.record(w, case)
  local outcome = run(w, case, function(proxy) proxy:record() end)
  local seen, targets = {}, {}
  for _, exchange in ipairs(outcome.log.exchanges) do
    local name = exchange.method .. " " .. exchange.route
    seen[name] = (seen[name] or 0) + 1
    if exchange["end"] then
      add_target(targets, exchange, { nth = 1, containing = JOB_ENDED })
    elseif seen[name] <= 2 then
      add_target(targets, exchange, { nth = seen[name] })
    end
    if seen[name] == 2 then
      add_target(targets, exchange, { nth = 0 })
    end
  end
  return targets, outcome
end

--- All changes of these answers, each { method =, route =, nth =, containing =, place =, change = }.
function runs.changes_of(w, targets)
  local names, list = w.proxies["local"]:changes(), {}
  local function add(target, change, place)
    list[#list + 1] = { method = target.method, route = target.route, nth = target.nth, containing = target.containing, change = change,
      place = place }
  end
  for _, target in ipairs(targets) do
    for _, change in ipairs(names.answer) do
      add(target, change)
    end
    for _, place in ipairs(target.places) do
      for _, change in ipairs(names.place) do
        if place ~= "" or change ~= "drop" and change ~= "double" then
          add(target, change, place)
        end
      end
    end
  end
  return list
end

--- The change in words.
function runs.describe(change)
  return ("%s of the answer%s to %s %s%s%s"):format(change.change,
    change.place and (" at %q"):format(change.place) or "", change.method, change.route,
    change.nth == 0 and ", each time" or change.nth and (" no. %d"):format(change.nth) or "",
    change.containing and " of the end" or "")
end

-- ---- judging ----

-- What no text may have: an error of Lua itself, or a line of a program.
local FOREIGN <const> = { "attempt to ", "bad argument", "stack traceback", "modalua/[%w_/]+%.lua:%d", "%.lua:%d+:", "AddressSanitizer",
  "runtime error:" }

local function check_texts(value, seen)
  if type(value) == "string" then
    for _, pattern in ipairs(FOREIGN) do
      if value:find(pattern) then
        error(("a text has %q: %s"):format(pattern, value:sub(1, 300)), 0)
      end
    end
  elseif type(value) == "table" and not seen[value] then
    seen[value] = true
    for key, field in next, value do
      if key ~= "where" then
        check_texts(key, seen)
        check_texts(field, seen)
      end
    end
  end
end

local function check_error(row, err)
  if row.verb then
    return
  elseif not modalua.is_error(err) then
    error(("the error is no error object but a %s: %s"):format(type(err), tostring(err)), 0)
  elseif type(err.kind) ~= "string" or type(err.message) ~= "string" or err.message == "" then
    error("the error has no kind or no message", 0)
  end
  check_texts(tostring(err), {})
end

local function is_truth(row, change)
  for _, truth in ipairs(row.truths or {}) do
    if truth.what(change) then
      return true
    end
  end
  return false
end

-- Throws a text unless the outcome is one that the operation promises.
local function judge(row, outcome, failing, change)
  if not outcome.ended then
    error(("it does not end within %d seconds"):format(LIMIT), 0)
  elseif outcome.threw and not (row.iterates and modalua.is_error(outcome.err)) then
    error("it throws: " .. tostring(outcome.err), 0)
  end
  check_texts(outcome.result, {})
  check_texts(outcome.err, {})
  if outcome.threw or not outcome.result then
    check_error(row, outcome.err)
  elseif failing and not (change and is_truth(row, change)) then
    error("it fails, but the result is that of a success", 0)
  elseif row.shape and not (failing and change) then
    row.shape(outcome.result)
  end
end

--- Judges an outcome; `failing`: the operation truly fails. Returns nil, or what is wrong.
function runs.fault(row, outcome, failing, change)
  local good, why = pcall(judge, row, outcome, failing, change)
  return not good and tostring(why) or nil
end

--- Runs a case with one change. Returns { changed = whether the change took place, fault = what is wrong, outcome = }.
function runs.try(w, row, case, failing, change)
  local outcome = run(w, case, function(proxy) proxy:set(change) end)
  return { changed = outcome.log.changed > 0, outcome = outcome, fault = runs.fault(row, outcome, failing, change) }
end

return runs
