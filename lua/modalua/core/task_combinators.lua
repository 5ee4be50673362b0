-- core.task_combinators: map, timeout and race of modalua.task.
local require = ...
local native = require "core.native"

local task_combinators = {}

local function cancel_all(tasks)
  for _, t in ipairs(tasks) do
    t:cancel()
  end
end

local CANCELLED_AT_END = { __close = cancel_all }

-- ---- map ----

local LIMIT = 8

local function check(good, message, ...)
  if not good then
    native.usage(message:format(...))
  end
end

local function read_limit(options)
  check(options == nil or type(options) == "table", "map: options must be a table (a %s was given)", type(options))
  for name, value in pairs(options or {}) do
    check(name == "limit", "map: unknown option '%s'; there is limit", tostring(name))
    check(math.type(value) and math.tointeger(value) and value >= 1, "map: option 'limit' must be a whole number, 1 or more")
  end
  return options and options.limit and math.tointeger(options.limit) or LIMIT
end

-- The failure of an operation, thrown by assert: that of one item, and not the end of all. The end of the run is no failure of an item.
local ENDS = { cancelled = true, limit = true }

local function is_failure(err)
  return native.is_error(err) and not ENDS[err.kind]
end

-- f(item, i): its first result, and why there is none.
local function outcome(f, item, i)
  local good, result, err = xpcall(f, native.keep_origin, item, i)
  if not good then
    if not is_failure(result) then
      error(result, 0)
    end
    return nil, result
  end
  return result, not result and err or nil
end

-- Calls f(i) for each i up to n, in this order, in `limit` tasks. What one throws ends the others, and is thrown.
local function in_tasks(n, limit, f)
  local last, thrown = 0, nil
  local workers <close> = setmetatable({}, CANCELLED_AT_END)
  local function work()
    while last < n do
      last = last + 1
      f(last)
    end
  end
  for w = 1, math.min(limit, n) do
    workers[w] = native.spawn(function()
      local good, err = pcall(work)
      if not good and not thrown then
        thrown = { err }
        cancel_all(workers)
      end
    end)
  end
  for _, worker in ipairs(workers) do
    worker:join()
  end
  if thrown then
    error(thrown[1], 0)
  end
end

function task_combinators.map(list, f, options)
  check(type(list) == "table", "map: a list is expected (a %s was given)", type(list))
  check(type(f) == "function", "map: a function is expected (a %s was given)", type(f))
  local n, limit = list.n or #list, read_limit(options)
  local results, errors = { n = n }, nil
  local function one(i)
    local result, err = outcome(f, list[i], i)
    results[i] = result
    if err ~= nil then
      errors = errors or {}
      errors[i] = err
    end
  end
  if native.can_join() then
    in_tasks(n, limit, one)
  else
    for i = 1, n do
      one(i)
    end
  end
  return results, errors
end

-- ---- timeout ----

-- The results of a task, or its error thrown.
local function results_of(joined, ...)
  if not joined then
    error((...), 0)
  end
  return ...
end

-- So that what f throws can be told from what it returns.
local function marked(f)
  return function(...)
    return true, f(...)
  end
end

function task_combinators.timeout(seconds, f, ...)
  check(math.type(seconds) and seconds >= 0, "timeout: a number of seconds is expected (%s was given)", tostring(seconds))
  check(type(f) == "function", "timeout: a function is expected (a %s was given)", type(f))
  local over = false
  local work <close> = native.spawn(marked(f), ...)
  local clock <close> = native.spawn(function()
    native.sleep(seconds)
    over = true
    work:cancel()
  end)
  local joined = table.pack(work:join())
  if over and not joined[1] and native.is_error(joined[2]) and joined[2].kind == "cancelled" then
    return nil, native.fail("timeout", "timeout", nil, ("not done after %g s"):format(seconds))
  end
  clock:cancel()
  return results_of(table.unpack(joined, 1, joined.n))
end

-- ---- race ----

function task_combinators.race(...)
  local functions = table.pack(...)
  check(functions.n > 0, "race: functions are expected")
  for i = 1, functions.n do
    check(type(functions[i]) == "function", "race: function %d is expected (a %s was given)", i, type(functions[i]))
  end
  local winner, failure, thrown
  local runners <close> = setmetatable({}, CANCELLED_AT_END)
  local left = functions.n
  local finish <close> = native.spawn(native.sleep, 1e9) -- cancelled when there is a winner, or nobody left
  for i = 1, functions.n do
    runners[i] = native.spawn(function()
      local results = table.pack(xpcall(functions[i], native.keep_origin))
      left = left - 1
      if not results[1] and not is_failure(results[2]) then
        thrown = thrown or { results[2] }
      elseif results[1] and results[2] then
        winner = winner or results
      else
        failure = failure or table.pack(nil, table.unpack(results, results[1] and 3 or 2, results.n))
      end
      if winner or thrown or left == 0 then
        finish:cancel()
      end
    end)
  end
  finish:join()
  if thrown and not winner then
    error(thrown[1], 0)
  elseif winner then
    return table.unpack(winner, 2, winner.n)
  end
  return table.unpack(failure, 1, failure.n)
end

return task_combinators
